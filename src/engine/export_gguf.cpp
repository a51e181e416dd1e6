#include "engine/export_gguf.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "base/error.h"
#include "engine/gguf_metadata.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kWeight = ".weight";

GgmlType float_type(DType dtype) {
  return dtype == DType::kBF16 ? GgmlType::kBF16 : dtype == DType::kF16 ? GgmlType::kF16 : GgmlType::kF32;
}

int64_t row_bytes(GgmlType type, int64_t cols) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  return cols / info.block_values * info.block_bytes;
}

// Rows of ours in the order of theirs: the inverse of row_order.
std::vector<int64_t> their_order(const NameRule& rule, int64_t rows) {
  const std::vector<int64_t> from = row_order(rule, rows);
  std::vector<int64_t> out(from.size());
  for (size_t i = 0; i < from.size(); ++i) out[static_cast<size_t>(from[i])] = static_cast<int64_t>(i);
  return out;
}

// The same bytes as u8 [rows, bytes of a row].
Tensor as_bytes(const Tensor& tensor, int64_t rows) {
  Tensor out(DType::kU8, Shape{rows, tensor.bytes() / rows});
  std::copy_n(tensor.raw(), out.bytes(), out.raw());
  return out;
}

}  // namespace

GgufExport::GgufExport(const QuantizeOptions& options, FunctionRef<void(int64_t, int64_t)> progress, fs::path model,
                       fs::path file)
    : ExportSink(options, progress), model_(std::move(model)), file_(std::move(file)) {}

void GgufExport::choose_component() {
  std::string chosen;
  for (const ExportedComponent& component : facts_.components()) {
    if (!component.any_changed() && !component.any_quantized()) continue;
    chosen += (chosen.empty() ? "" : ", ") + component.name;
    component_ = component.name;
  }
  if (chosen.empty()) {
    throw usage_error("quantize", "no weight would change", "--quantization with a scheme for some of them");
  }
  if (chosen != component_) {
    throw usage_error("--format", "is gguf, which holds one component, and the weights of several change: " + chosen,
                      "a component map that names one of them, or --format compressed-tensors");
  }
}

void GgufExport::choose_names() {
  for (const char* dialect : {"gguf", "original"}) {
    for (const NameMap& map : facts()->dialects) {
      if (!map.dialect.starts_with(dialect)) continue;
      names_ = map;
      return;
    }
  }
  throw Error(component_, "has no names that readers of GGUF know", "another --format");
}

void GgufExport::announce(const NamePlace& place, const std::string& suffix, const std::string& ours, GgmlType type,
                          int64_t rows, int64_t cols) {
  const std::string name = place.name + suffix;
  const int64_t block = ggml_type_info(type).block_values;
  if (cols % block != 0) {
    throw Error(component_ + "." + ours,
                "K = " + std::to_string(cols) + " is no multiple of the " + std::to_string(block) +
                    " values of a block of " + std::string(ggml_type_info(type).name),
                "a scheme with smaller groups, or the layer in ignored_layers");
  }
  const auto [it, is_new] = targets_.try_emplace(name);
  Target& target = it->second;
  if (is_new) {
    target.item = {name, type, place.stack >= 0 ? Shape{0, rows, cols} : Shape{place.their_rows(rows), cols}};
  } else if (target.item.type != type) {
    throw Error(component_ + "." + ours,
                "would be " + std::string(ggml_type_info(type).name) + " in " + name + ", whose other parts are " +
                    std::string(ggml_type_info(target.item.type).name),
                "one scheme for all parts of " + name);
  }
  if (!pieces_.insert(piece(place, suffix)).second) return;  // a table used twice
  if (place.stack >= 0) {
    target.item.shape = Shape{std::max(target.item.shape[0], place.stack + 1), rows, cols};
  }
  target.missing += rows;
}

// NVFP4 keeps the scale of the whole tensor beside it.
std::vector<GgufItem> GgufExport::outer_scales() const {
  std::vector<GgufItem> out;
  for (const ExportedWeight& weight : facts()->linears) {
    if (ggml_type_of(weight.scheme) != GgmlType::kNVFP4 || weight.scheme.outer_scale.dtype == DType::kNone) continue;
    const NamePlace place = place_name(names_, weight.name);
    if (place.is_part()) {
      throw usage_error(
          "--format",
          "is gguf, where " + weight.name + " is a part of " + place.name + ", whose NVFP4 has one scale for all",
          "--format compressed-tensors");
    }
    out.push_back({place.name + ".scale", GgmlType::kF32, Shape{1}});
  }
  return out;
}

void GgufExport::planned() {
  choose_component();
  choose_names();
  std::map<GgmlType, int64_t> values;
  for (const ExportedWeight& weight : facts()->linears) {
    const std::optional<GgmlType> type =
        weight.scheme.quantized() ? ggml_type_of(weight.scheme) : std::optional(float_type(weight.floats));
    if (!type) {
      throw usage_error("--format", "is gguf, whose types do not hold " + weight.scheme.text(),
                        "a scheme of GGUF's (q8_0, q4_k ...), or --format compressed-tensors");
    }
    announce(place_name(names_, weight.name), std::string(kWeight), weight.name, *type, weight.rows, weight.cols);
    values[*type] += weight.rows * weight.cols;
    ++all_;
  }
  for (const ExportedTensor& tensor : facts()->tensors) {
    const bool vector = tensor.shape.rank() < 2;
    const int64_t cols = tensor.shape.rank() == 0 ? 1 : vector ? 1 : tensor.shape[-1];
    const int64_t rows = tensor.shape.count() / std::max<int64_t>(cols, 1);
    announce(place_name(names_, tensor.name), "", tensor.name, vector ? GgmlType::kF32 : float_type(tensor.dtype), rows,
             cols);
  }
  bytes_before_ = facts()->bytes();
  std::vector<GgufItem> items = outer_scales();
  for (auto& [name, target] : targets_) {
    GgufItem item = target.item;
    if (item.shape.rank() == 3) {
      if (item.shape[0] * item.shape[1] != target.missing)
        throw Error(component_ + ": " + name, "lacks experts of its stack", "all of them");
    } else if (item.shape[0] != target.missing) {
      throw Error(component_ + ": " + name,
                  "gets " + std::to_string(target.missing) + " of its " + std::to_string(item.shape[0]) + " rows",
                  "a model whose parts fill it");
    }
    // Vectors are announced as columns of one value.
    if (item.shape.rank() == 2 && item.shape[1] == 1) item.shape = Shape{item.shape[0]};
    items.push_back(std::move(item));
  }
  const auto most = std::ranges::max_element(values, {}, [](const auto& pair) { return pair.second; });
  const fs::path folder = fs::is_directory(model_ / component_) ? model_ / component_ : model_;
  GgufMetadata metadata = gguf_metadata(folder, JsonObject::load(folder / "config.json"), most->first);
  notes = std::move(metadata.notes);
  const Tensor& factors = metadata.rope_factors;
  if (!factors.empty()) items.push_back({"rope_freqs.weight", GgmlType::kF32, factors.shape()});
  writer_ = std::make_unique<GgufWriter>(file_, metadata.pairs, std::move(items));
  if (!factors.empty()) writer_->write("rope_freqs.weight", factors);
}

bool GgufExport::wants(const WeightSource& source, std::string_view name) const {
  return source.component() == component_ && facts()->find(name) != nullptr;
}

void GgufExport::put(const NamePlace& place, const std::string& suffix, const Tensor& rows) {
  Target& target = targets_.at(place.name + suffix);
  pieces_.erase(piece(place, suffix));
  if (target.bytes.empty()) {
    const Shape& shape = target.item.shape;
    target.bytes = Tensor(DType::kU8, Shape{shape.count() / shape[-1], rows.cols()});
  }
  const int64_t begin = place.stack >= 0 ? place.stack * rows.rows() : place.rule.row;
  std::copy_n(rows.raw(), rows.bytes(), target.bytes.raw() + begin * rows.cols());
  target.missing -= rows.rows();
  if (target.missing > 0) return;
  writer_->write(target.item.name, target.bytes);
  target.bytes = Tensor();
}

void GgufExport::take(WeightSource& source, std::string_view name, const Weight& weight) {
  if (!wants(source, name)) return;
  const std::string path = component_ + "." + std::string(name);
  const NamePlace place = place_name(names_, name);
  if (!pieces_.contains(piece(place, std::string(kWeight)))) return;
  const GgmlType type = targets_.at(place.name + std::string(kWeight)).item.type;
  const Weight theirs = place.reorders() ? permute_rows(weight, their_order(place.rule, weight.rows), path) : weight;
  const Tensor rows =
      theirs.scheme.quantized() ? to_gguf_blocks(theirs, type, path) : as_bytes(theirs.codes, theirs.rows);
  assert(rows.cols() == row_bytes(type, weight.cols));
  put(place, std::string(kWeight), rows);
  if (const Tensor scale = gguf_scale(theirs); !scale.empty()) writer_->write(place.name + ".scale", scale);
  wrote(path, rows.bytes());
}

void GgufExport::take_tensor(WeightSource& source, std::string_view name, const Shape& shape) {
  if (source.component() != component_) return;
  const NamePlace place = place_name(names_, name);
  if (!pieces_.contains(piece(place, ""))) return;
  const Target& target = targets_.at(place.name);
  Tensor values = target.item.type == GgmlType::kF32 ? source.tensor(name, shape) : source.stored_tensor(name, shape);
  const int64_t rows = shape.rank() < 2 ? shape.count() : shape.count() / shape[-1];
  Tensor bytes = as_bytes(values, rows);
  if (place.reorders()) {
    const std::vector<int64_t> order = their_order(place.rule, rows);
    Tensor sorted(bytes.dtype(), bytes.shape());
    for (size_t i = 0; i < order.size(); ++i) {
      std::copy_n(bytes.raw() + order[i] * bytes.cols(), bytes.cols(),
                  sorted.raw() + static_cast<int64_t>(i) * bytes.cols());
    }
    bytes = std::move(sorted);
  }
  put(place, "", bytes);
}

void GgufExport::finish() {
  writer_->finish();
}

}  // namespace omni
