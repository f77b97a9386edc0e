#include "api/page.h"

#include <array>
#include <string_view>
#include <utility>

namespace tidemill {

namespace embedded {
std::string_view report_html();
std::string_view report_css();
std::string_view charts_js();
std::string_view graph_js();
std::string_view report_js();
}  // namespace embedded

namespace {

/// '<' occurs only within texts of JSON; escaped there, no text can look like markup ("</script>", "<!--") to a browser.
std::string DumpForScript(const Json& data) {
  std::string escaped;
  for (const char c : data.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<') {
      escaped += "\\u003c";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

std::string RenderPage(const Json& data) {
  const std::string json = DumpForScript(data);
  const std::array<std::pair<std::string_view, std::string_view>, 5> parts = {{{"{{report.css}}", embedded::report_css()},
                                                                               {"{{data}}", json},
                                                                               {"{{charts.js}}", embedded::charts_js()},
                                                                               {"{{graph.js}}", embedded::graph_js()},
                                                                               {"{{report.js}}", embedded::report_js()}}};
  // The template is walked once, so that a placeholder's name within the data stays what it is.
  std::string page;
  std::string_view rest = embedded::report_html();
  while (!rest.empty()) {
    const size_t open = rest.find("{{");
    page += rest.substr(0, open);
    if (open == std::string_view::npos) break;
    rest.remove_prefix(open);
    size_t length = 2;
    std::string_view text = rest.substr(0, length);
    for (const auto& [name, part] : parts) {
      if (rest.starts_with(name)) {
        length = name.size();
        text = part;
      }
    }
    page += text;
    rest.remove_prefix(length);
  }
  return page;
}

}  // namespace tidemill
