#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/weight_source.h"
#include "nn/conv.h"
#include "nn/embedding.h"
#include "nn/ledger.h"
#include "nn/linear.h"
#include "nn/pack_cache.h"
#include "nn/weight_sink.h"
#include "quant/plan.h"

namespace omni {

// kPlan walks the same constructors with headers only, kExport hands the weights it wants to the sink: in both layers
// get no weights and must not be called.
enum class LoadMode { kLoad, kPlan, kExport };
enum class Bias { kNo, kYes };
enum class Strict { kNo, kYes };

// What the construction of one model shares. Outlives its Scopes.
struct LoadContext {
  Exec* exec = nullptr;
  QuantPlan* plan = nullptr;
  Ledger* ledger = nullptr;
  LoadMode mode = LoadMode::kLoad;
  Strict strict = Strict::kNo;
  bool check_values = false;        // kPlan: read the quantized values of small checkpoints too, so that damage shows
  WeightSink* sink = nullptr;       // kExport, and kPlan before it: where weights go
  PackCache* pack_cache = nullptr;  // null: none
  // Bytes of stored weights done so far; null: nobody asks.
  std::function<void(int64_t done)> progress;
  int64_t bytes_done = 0;
};

// A place in a model: source + plan + path. Hands out loaded layers and writes the ledger: constructing is loading. One
// weight at a time is read, quantized as the plan says, packed and dropped. Throws Error naming the full path.
class Scope {
 public:
  Scope(LoadContext& context, WeightSource& source);  // the component's root
  Scope operator/(std::string_view part) const;
  Scope operator/(int64_t index) const { return *this / std::to_string(index); }
  std::string path() const;  // "transformer.transformer_blocks.3"

  Linear linear(std::string_view name, int64_t in, int64_t out, Bias bias, Role role = Role::kOrdinary) const;
  // Several linears of one input as one, outputs one after the other.
  Linear merged_linear(const std::vector<std::string>& names, const std::vector<int64_t>& outs, int64_t in, Bias bias,
                       Role role = Role::kOrdinary) const;
  Conv conv(std::string_view name, int64_t c_in, int64_t c_out, int kernel, int stride = 1) const;
  Conv upsample_conv(std::string_view name, int64_t c_in, int64_t c_out) const;  // 3x3 over the image repeated 2 x 2
  Tensor vector(std::string_view name, int64_t size) const;                      // a norm's gain or shift, f32
  Tensor table(std::string_view name, int64_t rows, int64_t cols) const;         // an embedding, as stored
  // A table of rows kept in the form the plan chose, decoded row by row (a token embedding).
  Embedding embedding(std::string_view name, int64_t rows, int64_t cols, Role role = Role::kSensitive) const;
  bool has(std::string_view name) const { return source_->has(full(name)); }  // a tensor by its full name

 private:
  std::string full(std::string_view name) const;
  // A tensor no linear kernel multiplies, f32, with its ledger row; kept_as: what stays of it in memory.
  Tensor parameter(std::string_view name, Shape shape, DType kept_as) const;
  Conv load_conv(std::string_view name, const ConvShape& shape) const;
  struct Part;  // one weight of a merged linear, with what the plan decided
  struct Road;  // the kernel that will multiply it
  Road find_road(LinearProblem problem, const std::string& path) const;
  // The ledger row of one part, but for its kernel.
  LedgerRow describe_part(const std::string& name, const StoredWeight& stored, Role role,
                          const Decision& decision) const;
  // The canonical target weight of one part; notes the rounding error in its row.
  Weight load_part(const std::string& name, const StoredWeight& stored, const Decision& decision, LedgerRow& row) const;
  // Parts that make one matrix: packed and added to linear, their rows to the ledger.
  void load_group(std::span<const Part> parts, Role role, Linear& linear) const;
  Tensor merged_bias(std::span<const Part> parts) const;
  void tell_sink(const Part& part) const;                     // kPlan
  void hand_to_sink(const Part& part, LedgerRow& row) const;  // kExport
  // The packed matrix of parts, from the pack cache when it is there.
  Weight packed(std::span<const Part> parts, const Road& road, std::span<LedgerRow> rows) const;
  PackCache::Key cache_key(std::span<const Part> parts, const Road& road) const;
  void advance(int64_t bytes) const;

  LoadContext* context_;
  WeightSource* source_;
  std::string prefix_;
};

}  // namespace omni
