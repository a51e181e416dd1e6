#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace omni {

// What html_report shows; plain values, all texts unescaped UTF-8.
struct Report {
  enum class Style : uint8_t { kText, kNumber, kBest, kWorst, kPass, kFail };  // all but kText: right-aligned

  struct Cell {
    std::string text;
    Style style = Style::kText;
  };
  struct Table {
    std::string caption;
    std::vector<std::string> headers;
    std::vector<std::vector<Cell>> rows;
  };
  struct Figure {
    std::string caption;
    std::vector<std::string> lines;  // metrics under the caption
    std::string image;               // PNG, JPEG or WebP bytes; empty: no picture
  };
  struct Section {
    std::string heading;
    std::vector<Figure> figures;
  };

  std::string title;
  std::string subtitle;  // the machine, the date
  std::vector<Table> tables;
  std::vector<Section> sections;
  std::vector<std::string> notes;
};

// One self-contained page: no scripts, no other files, light and dark, readable on a phone.
std::string html_report(const Report& report);

}  // namespace omni
