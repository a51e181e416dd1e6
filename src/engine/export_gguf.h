#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "checkpoint/gguf_write.h"
#include "engine/export_sink.h"

namespace omni {

// Writes one component as one GGUF file, in the names and with the metadata that the field's readers know.
class GgufExport final : public ExportSink {
 public:
  GgufExport(const QuantizeOptions& options, FunctionRef<void(int64_t, int64_t)> progress, std::filesystem::path model,
             std::filesystem::path file);
  void planned() override;
  bool wants(const WeightSource& source, std::string_view name) const override;
  void take(WeightSource& source, std::string_view name, const Weight& weight) override;
  void take_tensor(WeightSource& source, std::string_view name, const Shape& shape) override;
  void finish();

  const std::string& component() const { return facts()->name; }
  int64_t bytes_before() const { return bytes_before_; }

 private:
  // One tensor of the file, put together from the pieces of ours that lie in it.
  struct Target {
    GgufItem item;
    Tensor bytes;         // [rows, bytes of a row]; empty until its first piece comes
    int64_t missing = 0;  // rows
  };
  using Piece = std::tuple<std::string, int64_t, int64_t>;  // their tensor, its first row, its place in a stack
  static Piece piece(const NamePlace& place, const std::string& suffix) {
    return {place.name + suffix, place.rule.row, place.stack};
  }
  const ExportedComponent* facts() const { return facts_.find(component_); }
  void choose_component();
  void choose_names();
  std::vector<GgufItem> outer_scales() const;
  // Announces rows of ours; of_rows: of their whole tensor.
  void announce(const NamePlace& place, const std::string& suffix, const std::string& ours, GgmlType type, int64_t rows,
                int64_t cols);
  // Puts rows of bytes (u8 [rows, row bytes]) where they belong; writes a tensor that is complete.
  void put(const NamePlace& place, const std::string& suffix, const Tensor& rows);

  std::filesystem::path model_, file_;
  std::string component_;
  NameMap names_;
  std::map<std::string, Target> targets_;
  std::set<Piece> pieces_;  // announced and not yet put
  std::unique_ptr<GgufWriter> writer_;
  int64_t bytes_before_ = 0;
};

}  // namespace omni
