#pragma once
#include <map>
#include <memory>
#include <string>

#include "engine/export_facts.h"
#include "engine/quantize.h"

namespace omni {

// The walk ends before anything is written: the schemes are those of GGUF, and no format was asked for.
struct WantsGguf {};

// What every format's sink does: keeps the facts, counts bytes and progress. The formats open their files between the
// walks and finish after the second.
class ExportSink : public WeightSink {
 public:
  ExportSink(const QuantizeOptions& options, FunctionRef<void(int64_t, int64_t)> progress)
      : options_(options), progress_(progress) {}
  void plan_weight(const WeightSource& source, const PlannedWeight& weight) override { facts_.add(source, weight); }
  void plan_tensor(const WeightSource& source, std::string_view name, const Shape& shape) override {
    facts_.add(source, name, shape);
  }

  const ExportFacts& facts() const { return facts_; }
  // Bytes that a weight takes in what was written, by its full path.
  const std::map<std::string, int64_t>& written() const { return written_; }
  std::vector<std::string> notes;

 protected:
  void wrote(const std::string& path, int64_t bytes) {
    written_[path] += bytes;
    progress_(static_cast<int64_t>(written_.size()), all_);
  }
  const QuantizeOptions& options_;
  ExportFacts facts_;
  int64_t all_ = 0;  // weights that will be written

 private:
  FunctionRef<void(int64_t, int64_t)> progress_;
  std::map<std::string, int64_t> written_;
};

}  // namespace omni
