#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/base64.h"
#include "base/error.h"
#include "base/files.h"
#include "media/contact_sheet.h"
#include "media/font.h"
#include "media/html_report.h"
#include "support/support.h"

namespace omni {
namespace {

Image gradient(int width, int height, int hue) {
  Image image = blank_image(width, height, 0, 0, 0);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* p = image.pixel(x, y);
      p[hue % 3] = static_cast<uint8_t>(255 * x / width);
      p[(hue + 1) % 3] = static_cast<uint8_t>(255 * y / height);
      p[(hue + 2) % 3] = 120;
    }
  }
  return image;
}

std::vector<SheetRow> sample_rows() {
  return {{"a crab on a teal background",
           {{gradient(256, 256, 0), "reference"},
            {gradient(256, 256, 1), "PSNR 41.2 dB  SSIM 0.991"},
            {gradient(512, 256, 2), "PSNR 38.0 dB  SSIM 0.982, FLIP 0.021 too long"}}},
          {"a very long prompt that has to be wrapped over many lines because it does not fit beside the pictures",
           {{gradient(192, 256, 2), "reference"},
            {Image{}, "failed: out of memory"},
            {gradient(64, 64, 0), "(64x64) {j} @ 100%"}}}};
}

const SheetOptions kOptions{.title = "mini-FLUX, seed 42, 8 steps", .columns = {"bf16", "int8", "nvfp4 + low rank 32"}};

// Set OMNI_KEEP_SHEET to a path to look at the picture.
TEST(ContactSheet, ShowsEveryPictureAtItsPlace) {
  const Image sheet = contact_sheet(sample_rows(), kOptions);
  if (const char* path = std::getenv("OMNI_KEEP_SHEET")) write_image(path, sheet);
  EXPECT_GT(sheet.width, 3 * 256);
  EXPECT_GT(sheet.height, 2 * 256);
  const Image wanted = gradient(256, 256, 0);
  bool found = false;
  for (int y = 0; y + 256 <= sheet.height && !found; ++y) {
    for (int x = 0; x + 256 <= sheet.width && !found; ++x) {
      found = true;
      for (int v = 0; v < 256 && found; ++v)
        found = std::equal(wanted.pixel(0, v), wanted.pixel(0, v) + 3 * 256, sheet.pixel(x, y + v));
    }
  }
  EXPECT_TRUE(found) << "the first picture is not in the sheet as it is";
  for (int x = 0; x < sheet.width; ++x) EXPECT_EQ(*sheet.pixel(x, 0), 0xf7);  // the margin is clean
  for (int y = 0; y < sheet.height; ++y) EXPECT_EQ(*sheet.pixel(sheet.width - 1, y), 0xf7);
}

TEST(ContactSheet, TakesAnyShapeOfInput) {
  EXPECT_GT(contact_sheet({}, {}).width, 0);
  EXPECT_GT(contact_sheet({{"", {}}}, {.title = "only a title"}).width, text_width("only a title", {.height = 25}));
  EXPECT_GT(contact_sheet({{"caf\u00e9 \x01", {{Image{}, ""}}}}, {.columns = {"a", "b"}}).height, 0);
  EXPECT_THROW(contact_sheet(std::vector<SheetRow>(200, {"", {{gradient(256, 256, 0), "x"}}}), {}), Error);
}

TEST(Font, DrawsEveryCharacterDifferently) {
  std::vector<std::vector<uint8_t>> seen;
  for (char c = ' '; c <= '~'; ++c) {
    Image image = blank_image(12, 20, 255, 255, 255);
    draw_text(image, 0, 0, std::string(1, c), {.height = 20, .colour = {0, 0, 0}});
    EXPECT_EQ(std::find(seen.begin(), seen.end(), image.rgb), seen.end()) << "twin of " << c;
    seen.push_back(image.rgb);
  }
}

TEST(Font, CutsTextThatIsTooWideAndStaysInsideThePicture) {
  const TextStyle style{.height = 10};
  EXPECT_EQ(fit_text("abcdef", 36, style), "abcdef");
  EXPECT_EQ(fit_text("abcdefg", 36, style), "abc...");
  EXPECT_EQ(fit_text("ab defgh", 36, style), "ab...");
  EXPECT_EQ(fit_text("abcdefg", 5, style), "");
  Image image = blank_image(10, 10, 255, 255, 255);
  draw_text(image, -20, -5, "outside \xff\x01", style);
  draw_text(image, 8, 8, "outside", style);
  EXPECT_EQ(image.rgb.size(), 300u);
}

Report sample_report() {
  using Style = Report::Style;
  Report report;
  report.title = "Quality <of> \"int4\" & co";
  report.subtitle = "4 cores, AVX-512";
  report.tables = {{"",
                    {"scheme", "PSNR"},
                    {{{"bf16", Style::kText}, {"inf", Style::kBest}}, {{"<b>", Style::kText}, {"3.1", Style::kFail}}}}};
  report.sections = {
      {"a 'cat'",
       {{"bf16", {"PSNR inf", "1 < 2"}, encode_image(gradient(8, 8, 0), ImageFormat::kPng)}, {"none", {}, ""}}}};
  report.notes = {"Note & note"};
  return report;
}

TEST(HtmlReport, EscapesAllTextAndNeedsNoOtherFile) {
  const Report report = sample_report();
  const std::string page = html_report(report);
  if (const char* path = std::getenv("OMNI_KEEP_REPORT")) write_file_whole(path, page);
  for (const char* part :
       {"<h1>Quality &lt;of&gt; &quot;int4&quot; &amp; co</h1>", "<td>&lt;b&gt;</td>", "a &#39;cat&#39;", "1 &lt; 2",
        "Note &amp; note", "<td class=\"right fail\">3.1</td>", "<th class=\"right\">PSNR</th>",
        "prefers-color-scheme: dark", "name=\"viewport\"", "<!DOCTYPE html>"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  for (const char* part : {"<b>", "<script", "http://", "https://", "url("})
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  EXPECT_NE(page.find("data:image/png;base64," + base64_encode(report.sections[0].figures[0].image)),
            std::string::npos);
}

}  // namespace
}  // namespace omni
