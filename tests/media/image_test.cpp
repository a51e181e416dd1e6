#include "media/image.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "base/base64.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "media/quality.h"
#include "support/support.h"

namespace omni {
namespace {

Image noise(int width, int height) {
  Image image = blank_image(width, height, 0, 0, 0);
  std::mt19937 generator(1);
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(generator());
  return image;
}

TEST(Image, ComesBackFromLosslessFormatsAsItWas) {
  for (const auto& [width, height] : {std::pair{1, 1}, std::pair{17, 5}, std::pair{64, 64}, std::pair{300, 2}}) {
    const Image image = noise(width, height);
    for (const ImageFormat format : {ImageFormat::kPng, ImageFormat::kWebp}) {
      const Image back = decode_image(encode_image(image, format), "test");
      EXPECT_EQ(back.width, width);
      EXPECT_EQ(back.height, height);
      EXPECT_EQ(back.rgb, image.rgb) << width << " x " << height;
    }
  }
}

TEST(Image, ComesBackFromLossyFormatsAlmostAsItWas) {
  const Image scene = read_image(testing::golden("media/scene.png"));
  EXPECT_GT(psnr(decode_image(encode_image(scene, ImageFormat::kJpeg), "test"), scene), 38);
  const EncodeOptions lossy{.webp_lossless = false, .webp_quality = 95};
  EXPECT_GT(psnr(decode_image(encode_image(scene, ImageFormat::kWebp, lossy), "test"), scene), 30);
  EXPECT_LT(encode_image(scene, ImageFormat::kJpeg, {.jpeg_quality = 30}).size(),
            encode_image(scene, ImageFormat::kJpeg, {.jpeg_quality = 95}).size());
}

// Pixels of the reference decoder, alpha laid over white.
TEST(Image, DecodesEveryRecordedFileAsTheReferenceDoes) {
  const std::filesystem::path path = testing::golden("media/media.json");
  const nlohmann::json golden = parse_json(read_file(path, 1 << 20), path.string());
  ASSERT_GE(golden.at("pixels").size(), 10u);
  for (const auto& [name, pixels] : golden.at("pixels").items()) {
    const Image got = read_image(testing::golden("media/" + name));
    const std::string bytes = base64_decode(pixels.get<std::string>(), name);
    ASSERT_EQ(got.rgb.size(), bytes.size()) << name;
    const Image want{got.width, got.height, std::vector<uint8_t>(bytes.begin(), bytes.end())};
    const bool blended = name.starts_with("alpha");
    const bool lossy = name.ends_with(".jpg") || name == "lossy.webp";
    EXPECT_LE(max_difference(got, want), lossy ? 2 : blended ? 1 : 0) << name;
  }
}

// Cut anywhere: an Error or, where only trailing bytes are missing, the whole picture; never something else.
TEST(Image, RefusesTruncatedFiles) {
  for (const std::string name :
       {"rgb.png", "palette.png", "baseline.jpg", "progressive.jpg", "lossless.webp", "lossy.webp"}) {
    const std::string bytes = read_file(testing::golden("media/" + name), 1 << 20);
    for (size_t size = 0; size + 16 < bytes.size(); ++size)
      EXPECT_THROW(decode_image(std::string_view(bytes).substr(0, size), name), Error) << name << " cut at " << size;
  }
}

TEST(Image, SurvivesEveryDamagedByte) {
  int refused = 0, read = 0;
  for (const std::string name : {"palette.png", "progressive.jpg", "lossless.webp", "lossy.webp", "alpha.webp"}) {
    const std::string bytes = read_file(testing::golden("media/" + name), 1 << 20);
    for (size_t at = 0; at < bytes.size(); ++at) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
      try {
        const Image image = decode_image(damaged, name);
        EXPECT_EQ(image.rgb.size(), 3u * static_cast<size_t>(image.width) * static_cast<size_t>(image.height));
        ++read;
      } catch (const Error& e) {
        EXPECT_EQ(e.where(), name);
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 200);
  EXPECT_GT(read, 0);
}

std::string big_endian(uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

void expect_too_large(const std::string& bytes) {
  try {
    decode_image(bytes, "test");
    ADD_FAILURE() << "took a huge picture";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("16384"), std::string::npos) << e.what();
  }
}

TEST(Image, RefusesHugeClaimedSizesBeforeTakingMemory) {
  std::string png = read_file(testing::golden("media/rgb.png"), 1 << 20);
  for (const auto& [width, height] : {std::pair{20000u, 16u}, std::pair{16u, 60000u}, std::pair{16384u, 16384u}}) {
    png.replace(16, 8, big_endian(width, 4) + big_endian(height, 4));
    png.replace(29, 4, big_endian(crc32(std::string_view(png).substr(12, 17)), 4));
    expect_too_large(png);
  }
  std::string jpeg = read_file(testing::golden("media/baseline.jpg"), 1 << 20);
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, big_endian(60000, 2) + big_endian(60000, 2));
  expect_too_large(jpeg);
  std::string webp = read_file(testing::golden("media/lossy.webp"), 1 << 20);
  const size_t start = webp.find("\x9d\x01\x2a");
  ASSERT_NE(start, std::string::npos);
  webp.replace(start + 3, 4, "\xff\x3f\xff\x3f");
  expect_too_large(webp);
}

TEST(Image, RefusesOtherFormats) {
  for (const std::string bytes : {"", "GIF89a", "BM", "\x89PN", "RIFF\4\0\0\0WAVE"})
    EXPECT_THROW(decode_image(bytes, "test"), Error);
  EXPECT_THROW(blank_image(0, 5, 0, 0, 0), Error);
  EXPECT_THROW(blank_image(16385, 5, 0, 0, 0), Error);
  EXPECT_THROW(encode_image(blank_image(16384, 1, 0, 0, 0), ImageFormat::kWebp), Error);
}

TEST(Image, IsWrittenByItsExtensionAndReadBack) {
  const testing::TemporaryFolder folder;
  const Image image = noise(20, 10);
  for (const char* name : {"a.png", "b.PNG", "c.webp"}) {
    write_image(folder.path() / name, image);
    EXPECT_EQ(read_image(folder.path() / name).rgb, image.rgb) << name;
  }
  for (const char* name : {"d.jpg", "e.jpeg"}) {
    write_image(folder.path() / name, image);
    EXPECT_EQ(read_image(folder.path() / name).width, 20) << name;
  }
  for (const char* name : {"f.gif", "png", "g.", ".png"}) {
    try {
      write_image(folder.path() / name, image);
      ADD_FAILURE() << "wrote " << name;
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::kUsage) << name;
    }
    EXPECT_FALSE(std::filesystem::exists(folder.path() / name)) << name;
  }
  EXPECT_THROW(write_image(folder.path() / "no/such/folder.png", image), Error);
  EXPECT_THROW(read_image(folder.path() / "missing.png"), Error);
}

TEST(Image, RoundsFloatsHalfToEvenAndClamps) {
  const auto x_of = [](float code) { return code / 255.0f * 2.0f - 1.0f; };
  const std::vector<float> values = {-1.0f,   1.0f,      0.0f,    -7.0f, 7.0f, std::numeric_limits<float>::quiet_NaN(),
                                     x_of(3), x_of(254), x_of(77)};
  const Image image = image_from_float(values, 3, 1);
  EXPECT_EQ(image.rgb, (std::vector<uint8_t>{0, 255, 128, 0, 255, 0, 3, 254, 77}));
  for (int code = 0; code < 256; ++code) {
    const std::vector<float> same(3, x_of(static_cast<float>(code)));
    EXPECT_EQ(image_from_float(same, 1, 1).rgb[0], code);
  }
}

}  // namespace
}  // namespace omni
