#pragma once
#include <string>
#include <vector>

namespace omni::testing {

// What one run of the program left: its exit code (128 when a signal ended it), stdout and stderr.
struct Result {
  int code = -1;
  std::string out, err;
};

// Runs the program with the bundled models; environment: "NAME=VALUE NAME=VALUE" before it.
Result omni(const std::vector<std::string>& args, const std::string& environment = "");

}  // namespace omni::testing
