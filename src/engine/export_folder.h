#pragma once
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "checkpoint/safetensors_write.h"
#include "checkpoint/spelling.h"
#include "engine/export_sink.h"

namespace omni {

// Writes a model folder again: the components that change in a spelling of safetensors with their configs, everything
// else linked or copied as it is.
class FolderExport final : public ExportSink {
 public:
  // model: the folder that is read; out: an empty folder.
  FolderExport(const QuantizeOptions& options, FunctionRef<void(int64_t, int64_t)> progress,
               std::filesystem::path model, std::filesystem::path out);
  void planned() override;
  bool wants(const WeightSource& source, std::string_view name) const override;
  void take(WeightSource& source, std::string_view name, const Weight& weight) override;
  void take_tensor(WeightSource& source, std::string_view name, const Shape& shape) override;
  void finish();  // copies what stays and puts all names in place

  const Spelling& spelling() const { return *spelling_; }
  std::vector<std::string> components() const;
  int64_t bytes_before() const { return bytes_before_; }
  int64_t bytes_after() const { return bytes_after_; }

 private:
  // A component that is rewritten.
  struct Rewrite {
    const ExportedComponent* facts = nullptr;
    std::filesystem::path folder;  // relative to the model's: "transformer", or "." when the model is one component
    // Names for tensors when the checkpoint's own would cut or reorder weights: everything is then written anew.
    const NameMap* names = nullptr;
    std::vector<std::string> kept;  // tensors copied as they are
    std::unique_ptr<SafetensorsWriter> writer;
  };
  void choose_spelling();
  std::string refusal_of(const Spelling& spelling) const;
  static void choose_names(Rewrite& rewrite);
  void prepare(Rewrite& rewrite);
  // The weights of a rewrite as headers; of each the stored tensors that it replaces.
  void announce(const Rewrite& rewrite, std::vector<TensorHeader>& headers, std::vector<SpelledWeight>& quantized,
                std::vector<std::string>& floats, std::set<std::string>& replaced);
  void write_config(const Rewrite& rewrite, std::span<const SpelledWeight> quantized,
                    std::span<const std::string> floats) const;
  void copy_others() const;
  const Rewrite* find(std::string_view component) const;

  std::filesystem::path model_, out_;
  const Spelling* spelling_ = nullptr;
  std::vector<Rewrite> rewrites_;
  int64_t bytes_before_ = 0, bytes_after_ = 0;
};

}  // namespace omni
