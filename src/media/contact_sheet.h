#pragma once
#include <string>
#include <vector>

#include "media/image.h"

namespace omni {

struct SheetCell {
  Image image;  // may be empty: the place stays blank
  std::string caption;
};

struct SheetRow {
  std::string caption;  // left of the row
  std::vector<SheetCell> cells;
};

struct SheetOptions {
  std::string title;
  std::vector<std::string> columns;  // headings, may be fewer than the cells of a row
  int cell_side = 256;               // pictures larger than this are scaled down to fit; smaller ones keep their size
};

// Pictures in a grid with a title, column headings, row captions and a caption under each picture, on a light ground.
// Text is ASCII (other characters show as '?') and is cut with an ellipsis where it is too wide. Throws Error when the
// sheet would be beyond the image limits.
Image contact_sheet(const std::vector<SheetRow>& rows, const SheetOptions& options);

}  // namespace omni
