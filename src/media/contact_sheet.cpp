#include "media/contact_sheet.h"

#include <algorithm>
#include <cmath>

#include "media/font.h"
#include "media/image_codecs.h"

namespace omni {
namespace {

constexpr int kMargin = 28, kGap = 18, kTextGap = 8;
constexpr int kMaxRowCaption = 190, kLineHeight = 19;
constexpr TextStyle kTitle{.height = 25, .colour = {0x1c, 0x1c, 0x22}};
constexpr TextStyle kHeading{.height = 20, .colour = {0x1c, 0x1c, 0x22}};
constexpr TextStyle kCaption{.height = 15, .colour = {0x4a, 0x4a, 0x52}};

// Multi-byte characters become one '?'.
std::string ascii(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += byte < 0x20 || byte == 0x7f ? ' ' : c;
    } else if (byte >= 0xc0) {
      out += '?';
    }
  }
  return out;
}

// The mean of the source pixels under each pixel; width and height are at most the source's.
Image scaled_down(const Image& source, int width, int height) {
  Image out = blank_image(width, height, 0, 0, 0);
  const auto share = [](int64_t size, int64_t parts, int64_t i) { return static_cast<int>(size * i / parts); };
  for (int y = 0; y < height; ++y) {
    const int top = share(source.height, height, y), bottom = std::max(top + 1, share(source.height, height, y + 1));
    for (int x = 0; x < width; ++x) {
      const int left = share(source.width, width, x), right = std::max(left + 1, share(source.width, width, x + 1));
      int64_t sum[3] = {};
      for (int v = top; v < bottom; ++v) {
        for (int u = left; u < right; ++u) {
          for (int c = 0; c < 3; ++c) sum[c] += source.pixel(u, v)[c];
        }
      }
      const int64_t count = static_cast<int64_t>(bottom - top) * (right - left);
      for (int c = 0; c < 3; ++c) out.pixel(x, y)[c] = static_cast<uint8_t>((sum[c] + count / 2) / count);
    }
  }
  return out;
}

Image fitted(const Image& source, int side) {
  const int longest = std::max(source.width, source.height);
  if (longest <= side) return source;
  const double scale = static_cast<double>(side) / longest;
  return scaled_down(source, std::max(1, static_cast<int>(std::lround(source.width * scale))),
                     std::max(1, static_cast<int>(std::lround(source.height * scale))));
}

// With a thin frame, so that light pictures stand out from the ground.
void paste(Image& sheet, const Image& image, int left, int top) {
  for (int y = -1; y <= image.height; ++y) {
    for (int x = -1; x <= image.width; ++x) {
      const bool inside = x >= 0 && y >= 0 && x < image.width && y < image.height;
      uint8_t* pixel = sheet.pixel(left + x, top + y);
      for (int c = 0; c < 3; ++c) pixel[c] = inside ? image.pixel(x, y)[c] : 0xc9;
    }
  }
}

void draw_centred(Image& sheet, int left, int width, int top, const std::string& text, const TextStyle& style) {
  const std::string fitting = fit_text(ascii(text), width, style);
  draw_text(sheet, left + (width - text_width(fitting, style)) / 2, top, fitting, style);
}

// Whole words a line; the last line that is allowed takes the rest, cut to fit.
std::vector<std::string> wrapped(const std::string& text, int width, size_t max_lines, const TextStyle& style) {
  std::vector<std::string> lines;
  std::string rest = ascii(text);
  while (!rest.empty()) {
    const auto room = static_cast<size_t>(std::max(1, width / text_width("x", style)));
    size_t end = rest.size() <= room ? rest.size() : rest.rfind(' ', room);
    if (end == std::string::npos || end == 0) end = std::min(room, rest.size());
    if (lines.size() + 1 == max_lines) end = rest.size();
    lines.push_back(fit_text(std::string_view(rest).substr(0, end), width, style));
    rest.erase(0, end);
    rest.erase(0, rest.find_first_not_of(' '));
  }
  return lines;
}

// Where things lie; a grid of equal cells.
struct Grid {
  int row_caption = 0;  // width, 0 when no row has one
  int cell_width = 1, cell_height = 1;
  int columns = 0;
  int top = 0;             // of the first row of cells
  int caption_height = 0;  // under a picture, 0 when no cell has one
  int left_of(int column) const {
    return kMargin + (row_caption > 0 ? row_caption + kGap : 0) + column * (cell_width + kGap);
  }
  int top_of(int row) const { return top + row * (cell_height + caption_height + kGap); }
};

Grid lay_out(const std::vector<SheetRow>& rows, const std::vector<std::vector<Image>>& images,
             const SheetOptions& options) {
  Grid grid;
  grid.columns = static_cast<int>(options.columns.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    grid.columns = std::max(grid.columns, static_cast<int>(rows[r].cells.size()));
    grid.row_caption =
        std::max(grid.row_caption, std::min(kMaxRowCaption, text_width(ascii(rows[r].caption), kCaption)));
    for (size_t c = 0; c < images[r].size(); ++c) {
      grid.cell_width = std::max(grid.cell_width, images[r][c].width);
      grid.cell_height = std::max(grid.cell_height, images[r][c].height);
      if (!rows[r].cells[c].caption.empty()) grid.caption_height = kTextGap + kCaption.height;
    }
  }
  grid.top = kMargin;
  if (!options.title.empty()) grid.top += kTitle.height + kGap;
  if (!options.columns.empty()) grid.top += kHeading.height + kTextGap;
  return grid;
}

void draw_row(Image& sheet, const Grid& grid, int index, const SheetRow& row, const std::vector<Image>& images) {
  const int top = grid.top_of(index);
  const auto lines = wrapped(row.caption, grid.row_caption,
                             static_cast<size_t>(std::max(1, grid.cell_height / kLineHeight)), kCaption);
  int line_top = top + (grid.cell_height - static_cast<int>(lines.size()) * kLineHeight) / 2;
  for (const std::string& line : lines) {
    draw_text(sheet, kMargin, line_top, line, kCaption);
    line_top += kLineHeight;
  }
  for (size_t c = 0; c < images.size(); ++c) {
    const int left = grid.left_of(static_cast<int>(c));
    const Image& image = images[c];
    if (image.width > 0)
      paste(sheet, image, left + (grid.cell_width - image.width) / 2, top + (grid.cell_height - image.height) / 2);
    draw_centred(sheet, left, grid.cell_width, top + grid.cell_height + kTextGap, row.cells[c].caption, kCaption);
  }
}

}  // namespace

Image contact_sheet(const std::vector<SheetRow>& rows, const SheetOptions& options) {
  std::vector<std::vector<Image>> images(rows.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    for (const SheetCell& cell : rows[r].cells)
      images[r].push_back(cell.image.width > 0 ? fitted(cell.image, std::max(1, options.cell_side)) : Image{});
  }
  const Grid grid = lay_out(rows, images, options);
  const int64_t grid_width = grid.left_of(0) + static_cast<int64_t>(grid.columns) * (grid.cell_width + kGap) - kGap;
  const int64_t width = kMargin + std::max<int64_t>(grid_width, kMargin + text_width(ascii(options.title), kTitle));
  const int64_t row_height = grid.cell_height + grid.caption_height + kGap;
  const int64_t height = grid.top + static_cast<int64_t>(rows.size()) * row_height - kGap + kMargin;
  check_image_size(width, height, "contact sheet");
  Image sheet = blank_image(static_cast<int>(width), static_cast<int>(height), 0xf7, 0xf7, 0xf5);
  draw_text(sheet, kMargin, kMargin, ascii(options.title), kTitle);
  for (size_t c = 0; c < options.columns.size(); ++c) {
    draw_centred(sheet, grid.left_of(static_cast<int>(c)), grid.cell_width, grid.top - kTextGap - kHeading.height,
                 options.columns[c], kHeading);
  }
  for (size_t r = 0; r < rows.size(); ++r) draw_row(sheet, grid, static_cast<int>(r), rows[r], images[r]);
  return sheet;
}

}  // namespace omni
