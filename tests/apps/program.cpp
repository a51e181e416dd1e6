#include "apps/program.h"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "support/support.h"

namespace omni::testing {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

Result omni(const std::vector<std::string>& args, const std::string& environment) {
  const TemporaryFolder folder;
  const std::filesystem::path err = folder.path() / "err";
  std::string command =
      "OMNI_MODELS=" + quoted((source_dir() / "models").string()) + " " + environment + " " + quoted(OMNI_PROGRAM);
  for (const std::string& arg : args) command += " " + quoted(arg);
  command += " 2>" + quoted(err.string());
  Result result;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) result.out.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  result.err = read_file(err, size_t{1} << 20);
  return result;
}

}  // namespace omni::testing
