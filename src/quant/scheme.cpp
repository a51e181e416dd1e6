#include "quant/scheme.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>
#include <vector>

namespace omni {
namespace {

constexpr Group kChannel{1, 0};
constexpr Group kTensor{0, 0};
constexpr Group columns(int count) {
  return Group{1, count};
}

// Lower case, and '-' as '_'.
std::string fold(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::optional<int> positive_number(std::string_view text) {
  int value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

// "channel", "tensor", "g128" or "128x128" (rows x columns).
std::optional<Group> parse_group(std::string_view text) {
  if (text == "channel") return kChannel;
  if (text == "tensor") return kTensor;
  if (text.starts_with("g")) {
    const auto cols = positive_number(text.substr(1));
    return cols ? std::optional(columns(*cols)) : std::nullopt;
  }
  const std::vector<std::string_view> sides = split(text, 'x');
  if (sides.size() != 2) return std::nullopt;
  const auto rows = positive_number(sides[0]), cols = positive_number(sides[1]);
  if (!rows || !cols || *rows == 1) return std::nullopt;
  return Group{*rows, *cols};
}

std::string group_text(Group group) {
  if (group == kChannel) return "channel";
  if (group == kTensor) return "tensor";
  if (group.rows == 1) return "g" + std::to_string(group.cols);
  return std::to_string(group.rows) + "x" + std::to_string(group.cols);
}

// The scale dtype that the spelled form leaves out.
DType usual_scale(DType codes, Group group) {
  return group.rows != 1 || group.cols == 0 || codes == DType::kNF4 || codes == DType::kFP4BNB ? DType::kF32
                                                                                               : DType::kF16;
}
DType usual_act_codes(DType codes) {
  return codes == DType::kF8E4M3 || codes == DType::kF8E5M2 ? DType::kF8E4M3 : DType::kI8;
}

struct ActName {
  std::string_view name;
  ActQuant quant;
};
constexpr std::array kActNames = {ActName{"per_group", ActQuant::kPerGroup},
                                  ActName{"per_tensor", ActQuant::kPerTensor},
                                  ActName{"per_token", ActQuant::kPerToken}, ActName{"static", ActQuant::kStatic}};

bool is_code_dtype(DType dtype) {
  switch (dtype) {
    case DType::kF8E4M3:
    case DType::kF8E5M2:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI8:
    case DType::kU8:
    case DType::kI4:
    case DType::kU4:
    case DType::kI5:
    case DType::kU5:
    case DType::kI6:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
      return true;
    case DType::kNone:
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E8M0:
    case DType::kI32:
    case DType::kI64:
    case DType::kBool:
      return false;
  }
  return false;
}
bool is_unsigned(DType dtype) {
  return dtype == DType::kU8 || dtype == DType::kU5 || dtype == DType::kU4 || dtype == DType::kU3 ||
         dtype == DType::kU2;
}
bool is_scale_dtype(DType dtype) {
  const bool wide = dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
  return wide || dtype == DType::kF8E4M3 || dtype == DType::kF8E8M0 || dtype == DType::kU8 || dtype == DType::kI8;
}

// The spelled form while it is read: CODES/part/part ..., parts in any order, each at most once.
struct Spelling {
  QuantScheme scheme;
  bool loose = false;  // "int4": i4, or u4 with "asym"
  std::optional<Group> group;
  std::optional<Zero> zero;

  bool codes(std::string_view text) {
    if (text == "int8" || text == "int4") {
      loose = true;
      scheme.codes = text == "int8" ? DType::kI8 : DType::kI4;
    } else if (text == "fp8") {
      scheme.codes = DType::kF8E4M3;
    } else if (text == "fp4") {
      scheme.codes = DType::kF4E2M1;
    } else {
      scheme.codes = find_dtype(text).value_or(DType::kNone);
    }
    return is_code_dtype(scheme.codes);
  }

  bool set_zero(Zero wanted) {
    if (zero) return false;
    zero = wanted;
    return true;
  }

  // "per_token" or "per_token:f8e4m3".
  bool act(std::string_view text) {
    const std::vector<std::string_view> words = split(text, ':');
    const auto name = std::ranges::find(kActNames, words[0], &ActName::name);
    if (name == kActNames.end() || words.size() > 2 || scheme.act != ActQuant::kNone) return false;
    scheme.act = name->quant;
    if (words.size() == 2) scheme.act_codes = find_dtype(words[1]).value_or(DType::kNone);
    if (words.size() == 1) scheme.act_codes = usual_act_codes(scheme.codes);
    return scheme.act_codes == DType::kI8 || scheme.act_codes == DType::kF8E4M3;
  }

  // "outer:f16:g256".
  bool outer(std::string_view text) {
    const std::vector<std::string_view> words = split(text, ':');
    if (words.size() != 3 || scheme.outer_scale.dtype != DType::kNone) return false;
    const auto dtype = find_dtype(words[1]);
    const auto outer_group = parse_group(words[2]);
    if (!dtype || !is_scale_dtype(*dtype) || !outer_group) return false;
    scheme.outer_scale = {*dtype, *outer_group};
    return true;
  }

  bool part(std::string_view text) {
    if (text == "sym") return set_zero(Zero::kNone);
    if (text == "asym") return set_zero(Zero::kPoint);
    if (text == "min") return set_zero(Zero::kMinimum);
    if (text == "smooth" || text == "ordered") {
      bool& field = text == "smooth" ? scheme.smooth : scheme.ordered;
      return !std::exchange(field, true);
    }
    if (text.starts_with("outer:")) return outer(text);
    if (text.starts_with("rank") || text.starts_with("rot")) {
      int& field = text.starts_with("rank") ? scheme.low_rank : scheme.rotation;
      const auto value = positive_number(text.substr(text.starts_with("rank") ? 4 : 3));
      if (!value || field != 0) return false;
      field = *value;
      return true;
    }
    if (const auto dtype = find_dtype(text)) {
      if (!is_scale_dtype(*dtype) || scheme.scale.dtype != DType::kNone) return false;
      scheme.scale.dtype = *dtype;
      return true;
    }
    if (const auto found = parse_group(text)) {
      if (group) return false;
      group = found;
      return true;
    }
    return act(text);
  }

  std::optional<QuantScheme> finish() {
    scheme.zero = zero.value_or(Zero::kNone);
    if (loose && scheme.zero != Zero::kNone) scheme.codes = scheme.codes == DType::kI8 ? DType::kU8 : DType::kU4;
    const bool is_float = dtype_info(scheme.codes).is_float;
    if (is_float && scheme.zero != Zero::kNone) return std::nullopt;
    if (is_unsigned(scheme.codes) && scheme.zero == Zero::kNone) return std::nullopt;
    if (!group) {
      const int bits = dtype_info(scheme.codes).bits;
      if (bits != 8 && !(loose && bits == 4)) return std::nullopt;
      group = bits == 8 ? kChannel : columns(128);
    }
    scheme.scale.group = *group;
    if (scheme.scale.dtype == DType::kNone) scheme.scale.dtype = usual_scale(scheme.codes, *group);
    return scheme;
  }
};

std::string codes_text(const QuantScheme& scheme) {
  const bool loose = is_unsigned(scheme.codes) == (scheme.zero != Zero::kNone);
  if (loose && (scheme.codes == DType::kI8 || scheme.codes == DType::kU8)) return "int8";
  if (loose && (scheme.codes == DType::kI4 || scheme.codes == DType::kU4)) return "int4";
  if (scheme.codes == DType::kF8E4M3) return "fp8";
  if (scheme.codes == DType::kF4E2M1) return "fp4";
  return std::string(dtype_name(scheme.codes));
}

int64_t groups(int64_t extent, int group) {
  return group == 0 ? 1 : (extent + group - 1) / group;
}

// Bits of all scales of a spec. The u8 scales and minima of K-quants hold 6 bits.
int64_t scale_bits(const ScaleSpec& spec, int64_t rows, int64_t cols) {
  const int bits = spec.dtype == DType::kU8 ? 6 : dtype_info(spec.dtype).bits;
  return bits * groups(rows, spec.group.rows) * groups(cols, spec.group.cols);
}

}  // namespace

std::string QuantScheme::text() const {
  if (!quantized()) return "float";
  for (const Preset& preset : presets()) {
    if (preset.scheme == *this) return std::string(preset.name);
  }
  std::string out = codes_text(*this) + "/" + group_text(scale.group);
  if (scale.dtype != usual_scale(codes, scale.group)) out += "/" + std::string(dtype_name(scale.dtype));
  if (outer_scale.dtype != DType::kNone)
    out += "/outer:" + std::string(dtype_name(outer_scale.dtype)) + ":" + group_text(outer_scale.group);
  if (zero == Zero::kPoint) out += "/asym";
  if (zero == Zero::kMinimum) out += "/min";
  if (act != ActQuant::kNone) {
    std::string name(std::ranges::find(kActNames, act, &ActName::quant)->name);
    std::ranges::replace(name, '_', '-');
    out += "/" + name;
    if (act_codes != usual_act_codes(codes)) out += ":" + std::string(dtype_name(act_codes));
  }
  if (low_rank != 0) out += "/rank" + std::to_string(low_rank);
  if (rotation != 0) out += "/rot" + std::to_string(rotation);
  if (smooth) out += "/smooth";
  if (ordered) out += "/ordered";
  return out;
}

std::optional<QuantScheme> parse_scheme(std::string_view text) {
  if (const Preset* preset = find_preset(text)) return preset->scheme;
  const std::string folded = fold(text);
  const std::vector<std::string_view> parts = split(folded, '/');
  Spelling spelling;
  if (parts.size() < 2 || !spelling.codes(parts[0])) return std::nullopt;
  for (size_t i = 1; i < parts.size(); ++i) {
    if (!spelling.part(parts[i])) return std::nullopt;
  }
  return spelling.finish();
}

double bits_per_weight(const QuantScheme& scheme, int64_t rows, int64_t cols) {
  const int64_t count = rows * cols;
  if (count == 0 || !scheme.quantized()) return 0;
  int64_t bits = dtype_info(scheme.codes).bits * count + scale_bits(scheme.scale, rows, cols) +
                 scale_bits(scheme.outer_scale, rows, cols);
  if (scheme.zero == Zero::kPoint)
    bits += scale_bits({scheme.codes == DType::kU8 ? DType::kI8 : scheme.codes, scheme.scale.group}, rows, cols);
  if (scheme.zero == Zero::kMinimum)
    bits += scale_bits(scheme.scale, rows, cols) + scale_bits(scheme.outer_scale, rows, cols);
  return static_cast<double>(bits) / static_cast<double>(count);
}

}  // namespace omni
