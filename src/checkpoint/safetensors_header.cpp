#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace omni {
namespace {

namespace od = simdjson::ondemand;

constexpr uint64_t kMaxHeaderBytes = uint64_t{100} << 20;
constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxNameBytes = 4096;

struct DTypeSpelling {
  std::string_view name;
  DType dtype;
};
constexpr std::array kSpellings = {
    DTypeSpelling{"BF16", DType::kBF16},      DTypeSpelling{"BOOL", DType::kBool},
    DTypeSpelling{"F16", DType::kF16},        DTypeSpelling{"F32", DType::kF32},
    DTypeSpelling{"F4", DType::kF4E2M1},      DTypeSpelling{"F8_E4M3", DType::kF8E4M3},
    DTypeSpelling{"F8_E5M2", DType::kF8E5M2}, DTypeSpelling{"F8_E8M0", DType::kF8E8M0},
    DTypeSpelling{"I32", DType::kI32},        DTypeSpelling{"I64", DType::kI64},
    DTypeSpelling{"I8", DType::kI8},          DTypeSpelling{"U8", DType::kU8},
};

std::string known_dtypes() {
  std::string text;
  for (const DTypeSpelling& s : kSpellings) text += (text.empty() ? "" : ", ") + std::string(s.name);
  return text;
}

std::string list_text(const std::vector<int64_t>& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(values[i]);
  return text + "]";
}

// One tensor's entry as the header states it, before it is checked.
struct Claim {
  std::string dtype;
  std::vector<int64_t> shape, offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// simdjson reports what is no JSON, and a value of another type than asked for, as an exception of its own.
std::vector<int64_t> read_integers(od::value value, const std::string& where, const char* key, size_t most) {
  std::vector<int64_t> out;
  if (value.type() != od::json_type::array) throw Error(where, std::string(key) + " is no list", "a list of integers");
  for (od::value item : value.get_array()) {
    int64_t number = 0;
    if (item.type() != od::json_type::number || item.get_int64().get(number) != simdjson::SUCCESS) {
      throw Error(where, std::string(key) + " holds something else than 64-bit integers", "a list of integers");
    }
    if (out.size() == most) {
      throw Error(where, std::string(key) + " has more than " + std::to_string(most) + " entries",
                  "at most " + std::to_string(most));
    }
    out.push_back(number);
  }
  return out;
}

Claim read_claim(od::value value, const std::string& where) {
  Claim claim;
  if (value.type() != od::json_type::object) {
    throw Error(where, "its header entry is no object", "an object with dtype, shape and data_offsets");
  }
  for (od::field field : value.get_object()) {
    const std::string key(std::string_view(field.unescaped_key()));
    bool* seen = key == "dtype"          ? &claim.has_dtype
                 : key == "shape"        ? &claim.has_shape
                 : key == "data_offsets" ? &claim.has_offsets
                                         : nullptr;
    if (seen == nullptr) throw Error(where, "unknown header key '" + key + "'", "dtype, shape and data_offsets");
    if (*seen) throw Error(where, "the header key '" + key + "' stands twice", "each key once");
    *seen = true;
    if (key == "dtype") {
      if (field.value().type() != od::json_type::string) throw Error(where, "dtype is no string", known_dtypes());
      claim.dtype = std::string(std::string_view(field.value().get_string()));
    } else if (key == "shape") {
      claim.shape = read_integers(field.value(), where, "shape", Shape::kMaxRank);
    } else {
      claim.offsets = read_integers(field.value(), where, "data_offsets", 2);
    }
  }
  if (!claim.has_dtype) throw Error(where, "dtype is missing", "dtype, shape and data_offsets");
  if (!claim.has_shape) throw Error(where, "shape is missing", "dtype, shape and data_offsets");
  if (claim.offsets.size() != 2) throw Error(where, "data_offsets is missing or not a pair", "[begin, end]");
  return claim;
}

// Checks what one entry says about itself. begin is relative to the data here.
SafetensorsHeader::Item check_claim(const Claim& claim, const std::string& where) {
  const std::optional<DType> dtype = find_safetensors_dtype(claim.dtype);
  if (!dtype) throw Error(where, "dtype \"" + claim.dtype + "\"", "one of " + known_dtypes());
  int64_t count = 1;
  for (const int64_t extent : claim.shape) {
    if (extent < 0) throw Error(where, "shape " + list_text(claim.shape), "dimensions >= 0");
    if (__builtin_mul_overflow(count, extent, &count)) {
      throw Error(where, "shape " + list_text(claim.shape), "a product that fits 64 bits");
    }
  }
  int64_t bits = 0;
  if (__builtin_mul_overflow(count, int64_t{dtype_info(*dtype).storage_bits}, &bits)) {
    throw Error(where, "shape " + list_text(claim.shape), "a size that fits 64 bits");
  }
  if (bits % 8 != 0) throw Error(where, "shape " + list_text(claim.shape) + " of 4-bit values", "whole bytes");
  const std::string offsets = "data_offsets " + list_text(claim.offsets);
  if (claim.offsets[0] < 0 || claim.offsets[1] < claim.offsets[0]) throw Error(where, offsets, "0 <= begin <= end");
  const int64_t bytes = claim.offsets[1] - claim.offsets[0];
  if (bytes != bits / 8) {
    throw Error(where, offsets + " of " + std::to_string(bytes) + " bytes",
                std::to_string(bits / 8) + " bytes for " + claim.dtype + " " + list_text(claim.shape));
  }
  return {*dtype, make_shape(claim.shape), static_cast<size_t>(claim.offsets[0]), static_cast<size_t>(bytes)};
}

void read_metadata(od::value value, const std::string& where, SafetensorsHeader& header) {
  if (value.type() != od::json_type::object) throw Error(where + ": __metadata__", "is no object", "an object");
  for (od::field field : value.get_object()) {
    const std::string key(std::string_view(field.unescaped_key()));
    if (field.value().type() != od::json_type::string) {
      throw Error(where + ": __metadata__: " + key, "is no string", "a string");
    }
    std::string text(std::string_view(field.value().get_string()));
    if (!header.metadata.emplace(key, std::move(text)).second) {
      throw Error(where + ": __metadata__: " + key, "stands twice", "each key once");
    }
  }
}

SafetensorsHeader read_json(std::string_view json, const std::string& where) {
  SafetensorsHeader header;
  const simdjson::padded_string padded(json);
  od::parser parser;
  try {
    od::document document = parser.iterate(padded);
    if (document.type() != od::json_type::object) throw Error(where, "the header is no object", "a JSON object");
    bool has_metadata = false;
    for (od::field field : document.get_object()) {
      const std::string name(std::string_view(field.unescaped_key()));
      if (name == "__metadata__") {
        if (has_metadata) throw Error(where + ": __metadata__", "stands twice in the header", "each name once");
        has_metadata = true;
        read_metadata(field.value(), where, header);
        continue;
      }
      if (name.empty()) throw Error(where, "a tensor without a name", "names of at least one character");
      if (name.size() > kMaxNameBytes) {
        throw Error(where, "a tensor name of " + std::to_string(name.size()) + " bytes", "at most 4096");
      }
      const std::string at = where + ": " + name;
      if (header.items.contains(name)) throw Error(at, "stands twice in the header", "each name once");
      header.items.emplace(name, check_claim(read_claim(field.value(), at), at));
    }
    const char* rest = nullptr;
    if (document.current_location().get(rest) == simdjson::SUCCESS) {
      throw Error(where, "more than one JSON value in the header", "one JSON object");
    }
  } catch (const simdjson::simdjson_error& e) {
    throw Error(where, std::string("the header is not JSON: ") + e.what(), "a JSON object in UTF-8");
  }
  return header;
}

// Tensors must tile the data: in order of their offsets each begins where the one before ends.
void check_tiling(SafetensorsHeader& header, size_t data_begin, size_t data_bytes, const std::string& where) {
  using Place = std::tuple<size_t, size_t, const std::string*>;
  std::vector<Place> places;
  for (const auto& [name, item] : header.items) places.emplace_back(item.begin, item.begin + item.bytes, &name);
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::tie(std::get<0>(a), std::get<1>(a), *std::get<2>(a)) <
           std::tie(std::get<0>(b), std::get<1>(b), *std::get<2>(b));
  });
  size_t covered = 0;
  std::string before = "the header";
  for (const auto& [begin, end, name] : places) {
    const std::string found = "data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) + "]";
    if (end > data_bytes) {
      throw Error(where + ": " + *name, found + " of a file with " + std::to_string(data_bytes) + " bytes of data",
                  "an end of at most " + std::to_string(data_bytes) + ": the file is cut or the header lies");
    }
    if (begin != covered) {
      throw Error(where + ": " + *name, found + (begin < covered ? " overlap " : " leave a hole after ") + before,
                  "a begin of " + std::to_string(covered) + ", where " + before + " ends");
    }
    covered = end;
    before = *name;
  }
  if (covered != data_bytes) {
    throw Error(where,
                std::to_string(data_bytes) + " bytes of data, of which no tensor has the last " +
                    std::to_string(data_bytes - covered),
                std::to_string(covered) + " bytes of data");
  }
  for (auto& [name, item] : header.items) item.begin += data_begin;
}

}  // namespace

Shape make_shape(const std::vector<int64_t>& d) {
  switch (d.size()) {
    case 0:
      return Shape{};
    case 1:
      return Shape{d[0]};
    case 2:
      return Shape{d[0], d[1]};
    case 3:
      return Shape{d[0], d[1], d[2]};
    case 4:
      return Shape{d[0], d[1], d[2], d[3]};
    default:
      return Shape{d[0], d[1], d[2], d[3], d[4]};
  }
}

std::string_view safetensors_dtype_name(DType dtype) {
  for (const DTypeSpelling& s : kSpellings) {
    if (s.dtype == dtype) return s.name;
  }
  return "";
}

std::optional<DType> find_safetensors_dtype(std::string_view name) {
  for (const DTypeSpelling& s : kSpellings) {
    if (s.name == name) return s.dtype;
  }
  return std::nullopt;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& where) {
  if (file.size() < kLengthBytes) {
    throw Error(where, "is " + std::to_string(file.size()) + " bytes long", "at least 8 bytes of header length");
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= static_cast<uint64_t>(file[i]) << (8 * i);
  if (length > file.size() - kLengthBytes) {
    throw Error(where, "a header length of " + std::to_string(length),
                "a header within the " + std::to_string(file.size()) + " bytes of the file");
  }
  if (length > kMaxHeaderBytes) {
    throw Error(where, "a header length of " + std::to_string(length), "a header of at most 100 MiB");
  }
  if (length == 0) throw Error(where, "a header of 0 bytes", "a JSON object");
  const auto* text = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  SafetensorsHeader header = read_json({text, static_cast<size_t>(length)}, where);
  const size_t data_begin = kLengthBytes + static_cast<size_t>(length);
  check_tiling(header, data_begin, file.size() - data_begin, where);
  return header;
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile file;
  file.map = std::make_shared<MappedFile>(path);
  file.header = parse_safetensors_header(file.map->bytes(), path.string());
  return file;
}

}  // namespace omni
