// Tables in the docs are written by the program; these tests compare them with what it prints now.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "apps/program.h"
#include "base/files.h"
#include "support/support.h"

namespace omni {
namespace {

using testing::omni;
using testing::Result;

// What stands between <!-- COMMAND --> and <!-- /COMMAND --> of a page.
std::string block(const std::string& page, const std::string& command) {
  const std::string text = read_file(testing::source_dir() / "docs" / page, size_t{1} << 20);
  const std::string open = "<!-- " + command + " -->\n", close = "\n<!-- /" + command + " -->";
  const size_t begin = text.find(open), end = text.find(close);
  if (begin == std::string::npos || end == std::string::npos) return "no markers for " + command + " in " + page;
  return text.substr(begin + open.size(), end - begin - open.size());
}

class GeneratedDocs : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(GeneratedDocs, AreWhatTheProgramPrints) {
  const auto [page, command] = GetParam();
  const Result level = omni({"plan", "mini-flux", "--quiet"}, "OMNI_ISA=avx2");
  if (level.code != 0) GTEST_SKIP() << "kernels of a machine without AVX2 are not those of the docs";
  const Result printed = omni({command, "--markdown"});
  ASSERT_EQ(printed.code, 0) << printed.err;
  EXPECT_EQ(block(page, std::string("omni ") + command), printed.out) << "run tools/update_docs";
}

INSTANTIATE_TEST_SUITE_P(Pages, GeneratedDocs,
                         ::testing::Values(std::pair("methods.md", "methods"),
                                           std::pair("modality-compat.md", "models")),
                         [](const auto& info) { return std::string(info.param.second); });

TEST(Methods, TheirJsonHasEveryMethodWithItsReaders) {
  const Result r = omni({"methods", "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const nlohmann::json document = nlohmann::json::parse(r.out);
  bool found = false;
  for (const auto& method : document["methods"]) {
    if (method["name"] == "fp8") {
      EXPECT_EQ(method["online"], "fp8");
      EXPECT_EQ(method["encodings"], nlohmann::json::array({"fp8"}));
      found = true;
    }
    const bool readable = !method["encodings"].empty();
    EXPECT_TRUE(readable || !method["online"].is_null()) << method["name"] << " can neither be read nor made";
  }
  EXPECT_TRUE(found);
  EXPECT_GT(document["encodings"].size(), 5u);
}

}  // namespace
}  // namespace omni
