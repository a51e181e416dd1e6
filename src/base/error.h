#pragma once
#include <stdexcept>
#include <string>

namespace omni {

// Who has to act: a wrong command line or request (exit code 2), or a job that could not be done (exit code 1).
enum class Fault { kUsage, kJob };

// What a file, a config or a request can cause. Our own mistakes are assertions, never an Error.
// Reads as one line, `WHERE: WHAT (expected ...)`. Caught in two places only: the engine's step and main.
class Error : public std::runtime_error {
 public:
  // where: file, tensor, key or flag; what: what was found there; expected: what would be accepted (may be empty).
  Error(std::string where, std::string what, std::string expected = {}, Fault fault = Fault::kJob);

  const std::string& where() const { return where_; }
  const std::string& found() const { return found_; }
  const std::string& expected() const { return expected_; }
  Fault fault() const { return fault_; }

 private:
  std::string where_, found_, expected_;
  Fault fault_;
};

// An Error about a command line or request.
Error usage_error(std::string where, std::string what, std::string expected = {});

}  // namespace omni
