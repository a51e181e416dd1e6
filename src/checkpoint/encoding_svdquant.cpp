#include "checkpoint/encoding_svdquant.h"

#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/packed_int.h"
#include "checkpoint/packed_words.h"
#include "checkpoint/quantized_neighbours.h"

namespace omni {
namespace {

constexpr int kGroup = 16;

// The tensors of a layer of K inputs, N outputs and rank R: y = (codes, scaled) (x / smooth) + up (down x).
struct Names {
  std::string qweight;        // u8 [N, K / 2], e2m1, low nibble first
  std::string wscales;        // e4m3 [K / 16, N]
  std::string proj_down;      // [K, R]
  std::string proj_up;        // [N, R]
  std::string smooth_factor;  // [K]
  std::string wcscales;       // [N], perhaps
  std::string wtscale;        // one value, perhaps
  explicit Names(std::string_view name) {
    const std::string base = std::string(name) + ".";
    qweight = base + "qweight";
    wscales = base + "wscales";
    proj_down = base + "proj_down";
    proj_up = base + "proj_up";
    smooth_factor = base + "smooth_factor";
    wcscales = base + "wcscales";
    wtscale = base + "wtscale";
  }
};

class SvdquantWeights final : public StoredWeights {
 public:
  SvdquantWeights(const Checkpoint& checkpoint, ModuleList skipped)
      : checkpoint_(checkpoint), skipped_(std::move(skipped)) {}
  std::string_view method() const override { return "svdquant"; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const Names names(name);
    if (!is_quantized(name)) {
      std::optional<StoredWeight> plain = describe_plain(checkpoint_, name);
      if (plain && skipped_.match(name) == NameMatch::kNone) check_neighbours(checkpoint_, name, ".qweight");
      return plain;
    }
    const Checkpoint::Entry& codes = need_entry(checkpoint_, names.qweight, "the layer is quantized");
    check_dtype(checkpoint_, names.qweight, {DType::kU8});
    if (codes.shape.rank() != 2 || codes.shape[1] * 2 % kGroup != 0 || codes.shape.count() == 0)
      throw Error(tensor_where(checkpoint_, names.qweight), "is of shape " + codes.shape.text(),
                  "a matrix whose rows are groups of 16 codes, two a byte");
    StoredWeight out{{}, DType::kNone, codes.shape[0], codes.shape[1] * 2, 0, {names.qweight}};
    need_grid(names.wscales, out.cols / kGroup, out.rows, {DType::kF8E4M3}, out);
    const Checkpoint::Entry& down = need_entry(checkpoint_, names.proj_down, "the layer is quantized");
    const int64_t rank = down.shape.rank() == 2 ? down.shape[1] : 0;
    if (rank < 1 || rank > 4096)
      throw Error(tensor_where(checkpoint_, names.proj_down), "is of shape " + down.shape.text(),
                  "[" + std::to_string(out.cols) + ", rank]");
    need_grid(names.proj_down, out.cols, rank, kFloats, out);
    need_grid(names.proj_up, out.rows, rank, kFloats, out);
    need_grid(names.smooth_factor, out.cols, 1, kFloats, out);
    if (checkpoint_.find(names.wcscales) != nullptr) need_grid(names.wcscales, out.rows, 1, kFloats, out);
    if (checkpoint_.find(names.wtscale) != nullptr) need_grid(names.wtscale, 1, 1, kFloats, out);
    out.bytes = stored_bytes(checkpoint_, out.tensors);
    out.scheme = QuantScheme{.codes = DType::kF4E2M1,
                             .scale = {DType::kF8E4M3, {1, kGroup}},
                             .outer_scale = {DType::kF32, {1, 0}},
                             .low_rank = static_cast<int>(rank),
                             .smooth = true};
    return out;
  }

  Weight read(std::string_view name) const override {
    const StoredWeight stored = *describe(name);
    if (!stored.scheme.quantized()) return read_plain(checkpoint_, name);
    const Names names(name);
    Weight out;
    out.scheme = stored.scheme;
    out.rows = stored.rows;
    out.cols = stored.cols;
    out.codes = Tensor(DType::kF4E2M1, Shape{out.rows, out.cols});  // the same bytes
    const Tensor codes = checkpoint_.tensor(names.qweight);
    std::copy_n(codes.raw(), codes.bytes(), out.codes.raw());
    const Tensor scales = checkpoint_.tensor(names.wscales);
    check_float_codes(scales, tensor_where(checkpoint_, names.wscales));
    check_scale_values(scales, ScaleSign::kPositive, tensor_where(checkpoint_, names.wscales));
    out.scales = Tensor(DType::kF8E4M3, Shape{out.rows, out.cols / kGroup});
    Tensor turned = transpose_bytes(scales);
    std::copy_n(turned.raw(), turned.bytes(), out.scales.raw());
    check_zero_scales(out, tensor_where(checkpoint_, names.wscales));
    out.outer_scales = read_outer(names, out.rows);
    out.smooth = read_smooth(names.smooth_factor, out.cols);
    out.low_rank_down = read_low_rank(names.proj_down, true);
    out.low_rank_up = read_low_rank(names.proj_up, false);
    return out;
  }

  std::vector<std::string> weights() const override {
    std::vector<std::string> out;
    for (const std::string& tensor : checkpoint_.names()) {
      if (is_plain_weight(checkpoint_, tensor)) out.push_back(tensor.substr(0, tensor.rfind('.')));
      for (const std::string_view suffix : {".qweight", ".wscales"}) {
        if (tensor.ends_with(suffix)) out.push_back(tensor.substr(0, tensor.size() - suffix.size()));
      }
    }
    return sorted_names(std::move(out));
  }

 private:
  static constexpr std::initializer_list<DType> kFloats = {DType::kBF16, DType::kF16, DType::kF32};

  bool is_quantized(std::string_view name) const {
    const Names names(name);
    return checkpoint_.find(names.qweight) != nullptr || checkpoint_.find(names.wscales) != nullptr;
  }

  void need_grid(const std::string& tensor, int64_t rows, int64_t cols, std::initializer_list<DType> dtypes,
                 StoredWeight& out) const {
    need_entry(checkpoint_, tensor, "the layer is quantized");
    check_dtype(checkpoint_, tensor, dtypes);
    check_grid(checkpoint_, tensor, rows, cols);
    out.tensors.push_back(tensor);
  }

  // The scale of the tensor times that of the channel.
  Tensor read_outer(const Names& names, int64_t rows) const {
    const float whole =
        checkpoint_.find(names.wtscale) == nullptr ? 1.0f : read_single_scale(checkpoint_, names.wtscale);
    Tensor out(DType::kF32, Shape{rows, 1});
    std::fill_n(out.f32(), rows, whole);
    if (checkpoint_.find(names.wcscales) == nullptr) return out;
    const Tensor channels = to_f32(checkpoint_.tensor(names.wcscales));
    check_scale_values(channels, ScaleSign::kPositive, tensor_where(checkpoint_, names.wcscales));
    for (int64_t row = 0; row < rows; ++row) out.f32()[row] = whole * channels.f32()[row];
    return out;
  }

  // The tool divides the input by the factor.
  Tensor read_smooth(const std::string& tensor, int64_t cols) const {
    const Tensor factors = to_f32(checkpoint_.tensor(tensor));
    Tensor out(DType::kF32, Shape{cols});
    for (int64_t col = 0; col < cols; ++col) {
      out.f32()[col] = 1.0f / factors.f32()[col];
      if (std::isfinite(factors.f32()[col]) && std::isfinite(out.f32()[col])) continue;
      throw Error(tensor_where(checkpoint_, tensor),
                  "holds " + std::to_string(factors.f32()[col]) + " at " + std::to_string(col), "a finite divisor");
    }
    return out;
  }

  Tensor read_low_rank(const std::string& tensor, bool turn) const {
    const Tensor values = checkpoint_.tensor(tensor);
    check_scale_values(values, ScaleSign::kAny, tensor_where(checkpoint_, tensor));
    return turn ? transpose_floats(values) : values;
  }

  const Checkpoint& checkpoint_;
  ModuleList skipped_;
};

// nunchaku's own files say so in the header of the file.
bool is_nunchaku(const Checkpoint& checkpoint) {
  return checkpoint.metadata("quantization_config").find("svdquant") != std::string::npos;
}

class SvdquantEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "svdquant"; }
  std::string_view what() const override { return "SVDQuant NVFP4 with a low-rank branch, repacked row by row"; }

  bool wrote(const Checkpoint& checkpoint, const JsonObject* config) const override {
    return says_method(config, {"svdquant"}) || (config == nullptr && is_nunchaku(checkpoint));
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    if (is_nunchaku(checkpoint))
      throw Error(checkpoint.where(), "is in nunchaku's own order of bytes, made for its kernels",
                  "the repacked form (qweight [N, K/2] row by row): convert it");
    if (const std::string precision = config->string_or("precision", "nvfp4"); precision != "nvfp4")
      throw Error(config->where() + ": precision", "is \"" + precision + "\", which is stored in nunchaku's own order",
                  "nvfp4; convert it");
    std::vector<std::string> skipped;
    if (config->has("modules_to_not_convert")) skipped = config->strings("modules_to_not_convert");
    return std::make_unique<SvdquantWeights>(
        checkpoint, ModuleList(skipped, ModuleList::Kind::kPrefixes, config->where() + ": modules_to_not_convert"));
  }
};

}  // namespace

const Encoding& svdquant_encoding() {
  static const SvdquantEncoding encoding;
  return encoding;
}

}  // namespace omni
