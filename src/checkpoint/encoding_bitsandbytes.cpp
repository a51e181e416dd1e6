#include "checkpoint/encoding_bitsandbytes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/bnb_state.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/packed_int.h"
#include "checkpoint/quantized_neighbours.h"
#include "quant/codec_parts.h"

namespace omni {
namespace {

// The tensors that belong to NAME.weight.
struct Names {
  std::string weight, absmax, quant_map, nested_absmax, nested_quant_map, scb, format;
  explicit Names(std::string_view name)
      : weight(std::string(name) + ".weight"),
        absmax(weight + ".absmax"),
        quant_map(weight + ".quant_map"),
        nested_absmax(weight + ".nested_absmax"),
        nested_quant_map(weight + ".nested_quant_map"),
        scb(std::string(name) + ".SCB"),
        format(std::string(name) + ".weight_format") {}
};

constexpr std::array<std::string_view, 6> kPartsOf4Bit = {".weight.absmax",
                                                          ".weight.nested_absmax",
                                                          ".weight.nested_quant_map",
                                                          ".weight.quant_map",
                                                          ".weight.quant_state.bitsandbytes__fp4",
                                                          ".weight.quant_state.bitsandbytes__nf4"};

std::string count_text(const BnbState& state) {
  return std::to_string(state.rows) + " x " + std::to_string(state.cols) + " in blocks of " +
         std::to_string(state.block);
}

void need_count(const Checkpoint& checkpoint, const std::string& tensor, int64_t count, const std::string& why,
                std::initializer_list<DType> dtypes) {
  const Checkpoint::Entry& entry = need_entry(checkpoint, tensor, "the weight has a quant_state");
  check_dtype(checkpoint, tensor, dtypes);
  if (entry.shape.count() != count)
    throw Error(tensor_where(checkpoint, tensor), "holds " + std::to_string(entry.shape.count()) + " values",
                std::to_string(count) + " (" + why + ")");
}

class BitsandbytesWeights final : public StoredWeights {
 public:
  BitsandbytesWeights(const Checkpoint& checkpoint, ModuleList skipped)
      : checkpoint_(checkpoint), skipped_(std::move(skipped)) {}
  std::string_view method() const override { return "bitsandbytes"; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const Names names(name);
    if (is_4bit(name)) return describe_4bit(name);
    if (is_int8(names)) return describe_int8(name);
    std::optional<StoredWeight> plain = describe_plain(checkpoint_, name);
    if (plain && skipped_.match(name) == NameMatch::kNone) {
      check_neighbours(checkpoint_, name, ".weight.absmax");
      check_neighbours(checkpoint_, name, ".SCB");
    }
    return plain;
  }

  Weight read(std::string_view name) const override {
    if (is_4bit(name)) return read_4bit(name);
    return is_int8(Names(name)) ? read_int8(name) : read_plain(checkpoint_, name);
  }

  std::vector<std::string> weights() const override {
    std::vector<std::string> out;
    const auto take = [&](const std::string& tensor, std::string_view suffix) {
      if (tensor.ends_with(suffix)) out.push_back(tensor.substr(0, tensor.size() - suffix.size()));
    };
    for (const std::string& tensor : checkpoint_.names()) {
      if (is_plain_weight(checkpoint_, tensor) || checkpoint_.find(tensor)->dtype == DType::kI8)
        take(tensor, ".weight");
      for (const std::string_view suffix : kPartsOf4Bit) take(tensor, suffix);
      take(tensor, ".SCB");
      take(tensor, ".weight_format");
    }
    return sorted_names(std::move(out));
  }

 private:
  bool is_4bit(std::string_view name) const {
    return std::ranges::any_of(kPartsOf4Bit, [&](std::string_view suffix) {
      return checkpoint_.find(std::string(name) + std::string(suffix)) != nullptr;
    });
  }
  bool is_int8(const Names& names) const {
    const Checkpoint::Entry* weight = checkpoint_.find(names.weight);
    return checkpoint_.find(names.scb) != nullptr || checkpoint_.find(names.format) != nullptr ||
           (weight != nullptr && weight->dtype == DType::kI8);
  }

  void refuse_listed(std::string_view name) const {
    if (skipped_.match(name) != NameMatch::kExact) return;
    throw Error(tensor_where(checkpoint_, Names(name).weight),
                "is quantized, though llm_int8_skip_modules leaves the layer in float", "a float weight");
  }

  void add_tensors(StoredWeight& out, std::initializer_list<const std::string*> tensors) const {
    for (const std::string* tensor : tensors) {
      const Checkpoint::Entry* entry = checkpoint_.find(*tensor);
      if (entry == nullptr) continue;
      out.bytes += storage_bytes(entry->dtype, entry->shape.count());
      out.tensors.push_back(*tensor);
    }
  }

  BnbState state_of(std::string_view name) const {
    const Names names(name);
    std::optional<BnbState> state = read_bnb_state(checkpoint_, names.weight);
    if (state) return *state;
    throw Error(tensor_where(checkpoint_, names.weight + ".quant_state.bitsandbytes__nf4"), "no such tensor",
                "the quant_state (nf4 or fp4) of the quantized weight");
  }

  // Blocks may end within rows: then a group is what both blocks and rows are made of.
  static int group_of_state(const BnbState& state) { return static_cast<int>(std::gcd(state.block, state.cols)); }

  StoredWeight describe_4bit(std::string_view name) const {
    refuse_listed(name);
    const Names names(name);
    const BnbState state = state_of(name);
    const Checkpoint::Entry& weight = need_entry(checkpoint_, names.weight, "it has a quant_state");
    // quant_storage may be any type: only the bytes count.
    check_dtype(checkpoint_, names.weight, {DType::kU8, DType::kI8, DType::kBF16, DType::kF16, DType::kF32});
    const int64_t bytes = storage_bytes(weight.dtype, weight.shape.count());
    if (bytes != state.rows * state.cols / 2)
      throw Error(tensor_where(checkpoint_, names.weight), "holds " + std::to_string(bytes) + " bytes",
                  std::to_string(state.rows * state.cols / 2) + " (two codes of " +
                      Shape{state.rows, state.cols}.text() + " a byte)");
    need_count(checkpoint_, names.absmax, state.blocks(), count_text(state), {state.nested ? DType::kU8 : DType::kF32});
    need_count(checkpoint_, names.quant_map, 16, "one a code", {DType::kF32});
    if (state.nested) {
      const int64_t count = (state.blocks() + state.nested_block - 1) / state.nested_block;
      need_count(checkpoint_, names.nested_absmax, count, "blocks of " + std::to_string(state.nested_block) + " absmax",
                 {DType::kF32});
      need_count(checkpoint_, names.nested_quant_map, 256, "one a code of absmax", {DType::kF32});
    }
    StoredWeight out{{}, DType::kNone, state.rows, state.cols, 0, {}};
    out.scheme = QuantScheme{.codes = state.codes, .scale = {DType::kF32, {1, group_of_state(state)}}};
    add_tensors(out, {&names.weight, &names.absmax, &names.quant_map, &names.nested_absmax, &names.nested_quant_map,
                      &state.tensor});
    return out;
  }

  void check_map(const Names& names, DType codes) const {
    const Tensor map = checkpoint_.tensor(names.quant_map);
    const std::span<const float> known = code_values(codes);
    for (size_t code = 0; code < 16; ++code) {
      if (std::fabs(map.f32()[code] - known[code]) <= 1e-6f) continue;
      throw Error(tensor_where(checkpoint_, names.quant_map),
                  "is another table: code " + std::to_string(code) + " is " + std::to_string(map.f32()[code]),
                  std::to_string(known[code]));
    }
  }

  // One absmax a block, in f32: the tool's own arithmetic.
  Tensor read_absmax(const Names& names, const BnbState& state) const {
    const Tensor stored = checkpoint_.tensor(names.absmax);
    if (!state.nested) {
      check_scale_values(stored, ScaleSign::kPositive, tensor_where(checkpoint_, names.absmax));
      return stored;
    }
    const Tensor map = checkpoint_.tensor(names.nested_quant_map), outer = checkpoint_.tensor(names.nested_absmax);
    check_scale_values(map, ScaleSign::kAny, tensor_where(checkpoint_, names.nested_quant_map));
    check_scale_values(outer, ScaleSign::kPositive, tensor_where(checkpoint_, names.nested_absmax));
    Tensor out(DType::kF32, Shape{state.blocks()});
    for (int64_t i = 0; i < state.blocks(); ++i) {
      const float scaled = map.f32()[stored.data<uint8_t>()[i]] * outer.f32()[i / state.nested_block];
      out.f32()[i] = scaled + state.nested_offset;
    }
    // Rounding of a tiny absmax may end below zero; the tool keeps it.
    check_scale_values(out, ScaleSign::kAny, tensor_where(checkpoint_, names.absmax));
    return out;
  }

  Weight read_4bit(std::string_view name) const {
    const StoredWeight stored = describe_4bit(name);
    const Names names(name);
    const BnbState state = state_of(name);
    check_map(names, state.codes);
    Weight out;
    out.scheme = stored.scheme;
    out.rows = stored.rows;
    out.cols = stored.cols;
    out.codes = Tensor(state.codes, Shape{out.rows, out.cols});
    const auto* from = reinterpret_cast<const uint8_t*>(checkpoint_.tensor(names.weight).raw());
    auto* to = out.codes.data<uint8_t>();
    for (int64_t i = 0; i < out.rows * out.cols / 2; ++i)  // low nibble first
      to[i] = static_cast<uint8_t>((from[i] >> 4) | (from[i] << 4));
    const Tensor absmax = read_absmax(names, state);
    const int64_t group = out.scheme.scale.group.cols;
    out.scales = Tensor(DType::kF32, Shape{out.rows, out.cols / group});
    for (int64_t i = 0; i < out.scales.shape().count(); ++i)
      out.scales.f32()[i] = absmax.f32()[i * group / state.block];
    return out;
  }

  StoredWeight describe_int8(std::string_view name) const {
    refuse_listed(name);
    const Names names(name);
    const Checkpoint::Entry& weight = need_entry(checkpoint_, names.weight, "it has a scale");
    need_entry(checkpoint_, names.scb, "the weight is int8");
    check_dtype(checkpoint_, names.weight, {DType::kI8});
    check_dtype(checkpoint_, names.scb, {DType::kF32});
    if (weight.shape.rank() != 2)
      throw Error(tensor_where(checkpoint_, names.weight), "is of shape " + weight.shape.text(), "a matrix");
    StoredWeight out{{}, DType::kNone, weight.shape[0], weight.shape[1], 0, {}};
    check_grid(checkpoint_, names.scb, out.rows, 1);
    out.scheme = QuantScheme{.codes = DType::kI8, .scale = {DType::kF32, {1, 0}}};
    add_tensors(out, {&names.weight, &names.scb, &names.format});
    return out;
  }

  Weight read_int8(std::string_view name) const {
    const StoredWeight stored = describe_int8(name);
    const Names names(name);
    if (checkpoint_.find(names.format) != nullptr) {
      check_single(checkpoint_, names.format);
      check_dtype(checkpoint_, names.format, {DType::kU8});
      const int format = *checkpoint_.tensor(names.format).data<uint8_t>();
      if (format != 0)
        throw Error(tensor_where(checkpoint_, names.format), "is " + std::to_string(format) + ", the order of a GPU",
                    "0, rows");
    }
    Weight out;
    out.scheme = stored.scheme;
    out.rows = stored.rows;
    out.cols = stored.cols;
    out.codes = checkpoint_.tensor(names.weight);
    const Tensor largest = checkpoint_.tensor(names.scb);
    check_scale_values(largest, ScaleSign::kPositive, tensor_where(checkpoint_, names.scb));
    out.scales = Tensor(DType::kF32, Shape{out.rows, 1});
    for (int64_t row = 0; row < out.rows; ++row) out.scales.f32()[row] = largest.f32()[row] / 127.0f;
    check_zero_scales(out, tensor_where(checkpoint_, names.scb));
    return out;
  }

  const Checkpoint& checkpoint_;
  ModuleList skipped_;
};

class BitsandbytesEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "bitsandbytes"; }
  std::string_view what() const override { return "bitsandbytes: nf4, fp4 (absmax plain or quantized) and int8"; }

  bool wrote(const Checkpoint&, const JsonObject* config) const override {
    if (says_method(config, {"bitsandbytes"})) return true;
    return config != nullptr && !config->has("quant_method") &&  // older files leave it out
           (config->boolean_or("load_in_4bit", false) || config->boolean_or("load_in_8bit", false));
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    std::vector<std::string> skipped;
    if (config->has("llm_int8_skip_modules")) skipped = config->strings("llm_int8_skip_modules");
    return std::make_unique<BitsandbytesWeights>(
        checkpoint, ModuleList(skipped, ModuleList::Kind::kPrefixes, config->where() + ": llm_int8_skip_modules"));
  }
};

}  // namespace

const Encoding& bitsandbytes_encoding() {
  static const BitsandbytesEncoding encoding;
  return encoding;
}

}  // namespace omni
