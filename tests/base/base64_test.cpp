#include "base/base64.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace omni {
namespace {

// The test vectors of RFC 4648, section 10, and all byte values.
TEST(Base64, EncodesAndDecodesTheVectorsOfTheStandard) {
  const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"},
                                                         {"\xff\xfe\xfb", "//77"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text, "test"), bytes) << text;
  }
}

TEST(Base64, KeepsEveryByte) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += static_cast<char>(i * 7);
  EXPECT_EQ(base64_decode(base64_encode(bytes), "test"), bytes);
}

TEST(Base64, RefusesWhatIsNotBase64) {
  for (const char* text : {"Zg", "Zg=", "Z===", "====", "Zg=v", "Z!==", "Zm9v\n", "Zm 9"}) {
    EXPECT_THROW(base64_decode(text, "test"), Error) << text;
  }
}

}  // namespace
}  // namespace omni
