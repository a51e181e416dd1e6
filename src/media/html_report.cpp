#include "media/html_report.h"

#include <string_view>

#include "base/base64.h"

namespace omni {
namespace {

constexpr std::string_view kStyleSheet = R"(
:root { color-scheme: light dark; --ground: #fafaf8; --card: #fff; --text: #1d1d22; --soft: #63636e; --line: #dededa;
  --good: #14713d; --good-ground: #e2f4e8; --bad: #a3262a; --bad-ground: #fbe6e5; }
@media (prefers-color-scheme: dark) { :root { --ground: #16171a; --card: #1f2125; --text: #e8e8ea; --soft: #a0a0aa;
  --line: #363840; --good: #7fdca0; --good-ground: #183524; --bad: #ff9d98; --bad-ground: #43201f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 76rem; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.2rem 0 .8rem; font-size: 1.15rem; }
.subtitle { margin: .4rem 0 1.6rem; color: var(--soft); overflow-wrap: anywhere; }
.table { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { padding: .6rem .8rem; text-align: left; color: var(--soft); }
th, td { padding: .45rem .8rem; text-align: left; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; }
.right { text-align: right; }
.best { color: var(--good); font-weight: 700; }
.worst { color: var(--bad); font-weight: 700; }
.pass { color: var(--good); background: var(--good-ground); font-weight: 600; }
.fail { color: var(--bad); background: var(--bad-ground); font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .7rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
img { display: block; max-width: 100%; height: auto; margin: 0 auto .6rem; border-radius: .25rem; }
figcaption { font-weight: 600; overflow-wrap: anywhere; }
figure p { margin: 0; color: var(--soft); font-size: .87rem; font-variant-numeric: tabular-nums; }
.notes { margin-top: 2.2rem; color: var(--soft); font-size: .92rem; }
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string_view style_class(Report::Style style) {
  switch (style) {
    case Report::Style::kText:
      return "";
    case Report::Style::kNumber:
      return "right";
    case Report::Style::kBest:
      return "right best";
    case Report::Style::kWorst:
      return "right worst";
    case Report::Style::kPass:
      return "right pass";
    case Report::Style::kFail:
      return "right fail";
  }
  return "";
}

std::string element(std::string_view tag, std::string_view css_class, std::string_view text) {
  std::string out = "<" + std::string(tag);
  if (!css_class.empty()) out += " class=\"" + std::string(css_class) + "\"";
  return out + ">" + escaped(text) + "</" + std::string(tag) + ">";
}

// A heading stands as its column does.
bool is_right_aligned(const Report::Table& table, size_t column) {
  for (const auto& row : table.rows) {
    if (column < row.size()) return row[column].style != Report::Style::kText;
  }
  return false;
}

void add_table(std::string& page, const Report::Table& table) {
  page += "<div class=\"table\"><table>\n";
  if (!table.caption.empty()) page += element("caption", "", table.caption) + "\n";
  page += "<thead><tr>";
  for (size_t c = 0; c < table.headers.size(); ++c)
    page += element("th", is_right_aligned(table, c) ? "right" : "", table.headers[c]);
  page += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    page += "<tr>";
    for (const Report::Cell& cell : row) page += element("td", style_class(cell.style), cell.text);
    page += "</tr>\n";
  }
  page += "</tbody></table></div>\n";
}

std::string_view media_type(std::string_view image) {
  if (image.starts_with("\xff\xd8")) return "image/jpeg";
  return image.starts_with("RIFF") ? "image/webp" : "image/png";
}

void add_figure(std::string& page, const Report::Figure& figure) {
  page += "<figure>";
  if (!figure.image.empty()) {
    page += "<img alt=\"" + escaped(figure.caption) + "\" src=\"data:" + std::string(media_type(figure.image)) +
            ";base64," + base64_encode(figure.image) + "\">";
  }
  page += element("figcaption", "", figure.caption);
  for (const std::string& line : figure.lines) page += element("p", "", line);
  page += "</figure>\n";
}

}  // namespace

std::string html_report(const Report& report) {
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  page += element("title", "", report.title) + "\n<style>" + std::string(kStyleSheet) + "</style>\n</head>\n<body>\n";
  page += element("h1", "", report.title) + "\n" + element("p", "subtitle", report.subtitle) + "\n";
  for (const Report::Table& table : report.tables) add_table(page, table);
  for (const Report::Section& section : report.sections) {
    page += "<section>\n" + element("h2", "", section.heading) + "\n<div class=\"figures\">\n";
    for (const Report::Figure& figure : section.figures) add_figure(page, figure);
    page += "</div>\n</section>\n";
  }
  if (!report.notes.empty()) {
    page += "<ul class=\"notes\">\n";
    for (const std::string& note : report.notes) page += element("li", "", note) + "\n";
    page += "</ul>\n";
  }
  return page + "</body>\n</html>\n";
}

}  // namespace omni
