#pragma once
#include <string>
#include <vector>

#include "verify_run.h"

namespace omni::cli {

// A verification as a whole: arms[0] is the baseline, summaries[i] belongs to arms[i] (empty for the baseline).
struct Verification {
  std::string model, machine, date, floor_name;  // floor_name: what the noise floor compares, "bf16 against f32"
  int width = 0, height = 0, steps = 0;
  std::vector<VerifyCase> cases;
  std::vector<VerifyArm> arms;
  std::vector<VerifySummary> summaries;
  VerifySummary floor;
  std::vector<std::string> failures;  // gates that were not met, a line each
};

std::string verify_table(const Verification& v);  // for a terminal
std::string verify_json(const Verification& v);
std::string verify_html(const Verification& v);
Image verify_sheet(const Verification& v);  // pictures with captions: a row a prompt, a column an arm

}  // namespace omni::cli
