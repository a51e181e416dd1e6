#include "base/error.h"

#include <utility>

namespace omni {
namespace {

std::string one_line(const std::string& where, const std::string& what, const std::string& expected) {
  std::string text = where + ": " + what;
  if (!expected.empty()) text += " (expected " + expected + ")";
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';  // foreign names must not break the line
  }
  return text;
}

}  // namespace

Error::Error(std::string where, std::string what, std::string expected, Fault fault)
    : std::runtime_error(one_line(where, what, expected)),
      where_(std::move(where)),
      found_(std::move(what)),
      expected_(std::move(expected)),
      fault_(fault) {}

Error usage_error(std::string where, std::string what, std::string expected) {
  return Error(std::move(where), std::move(what), std::move(expected), Fault::kUsage);
}

}  // namespace omni
