#include "project/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>
#include <utility>

namespace tidemill {
namespace {

constexpr size_t kYamlBytesMax = 4 << 20;
constexpr size_t kYamlDepthMax = 64;
constexpr size_t kExcerptBytesMax = 400;  // a longer line helps nobody, and every node holds a copy

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

/// `begin` is where the line begins. In a very long line columns count bytes, so that a place costs the same everywhere.
Place PlaceInLine(std::string_view text, const std::string& file, int line, size_t begin, size_t offset, size_t length_bytes) {
  Place place;
  place.file = file;
  place.line = line;
  const std::string_view start = text.substr(begin, kExcerptBytesMax + 1);
  std::string_view excerpt = start.substr(0, start.find('\n'));
  if (excerpt.size() > kExcerptBytesMax || offset - begin > excerpt.size()) {
    place.column = 1 + static_cast<int>(offset - begin);
    return place;
  }
  if (excerpt.ends_with('\r')) excerpt.remove_suffix(1);
  place.column = 1 + static_cast<int>(CountCharacters(text.substr(begin, offset - begin)));
  place.length = std::max(1, static_cast<int>(CountCharacters(text.substr(offset, length_bytes))));
  place.excerpt = std::string(excerpt);
  return place;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view WithoutPlus(std::string_view text) { return text.starts_with('+') ? text.substr(1) : text; }

/// Text of YAML's core schema for numbers: [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool ReadsAsNumber(std::string_view text, bool* whole) {
  size_t at = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  const auto digits = [&] {
    const size_t begin = at;
    while (at < text.size() && IsDigit(text[at])) ++at;
    return at - begin;
  };
  const size_t before = digits();
  size_t behind = 0;
  *whole = true;
  if (at < text.size() && text[at] == '.') {
    *whole = false;
    ++at;
    behind = digits();
  }
  if (before + behind == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    *whole = false;
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

/// An error found while yaml-cpp reads: thrown through it, caught at the border below.
struct Refused {
  Error error;
};

/// Builds nodes from yaml-cpp's events: they tell keys apart that its own nodes merge, and what was quoted.
class NodeBuilder : public YAML::EventHandler {
 public:
  NodeBuilder(std::string_view text, const std::string& file) : text_(text), file_(file) {
    for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) lines_.push_back(at + 1);
  }

  std::optional<YamlNode>& root() { return root_; }

  /// Where the innermost [ or { stands that is still open.
  std::optional<Place> OpenFlow() const {
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
      if (frame->flow) return frame->node.place;
    }
    return std::nullopt;
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Refuse(anchor, mark);
    YamlNode node;
    node.in_flow = InFlow();
    node.text = std::string(PlainWord(mark.pos));
    node.place = At(mark.pos, std::max<size_t>(1, node.text.size()));
    Attach(std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Refuse(1, mark); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    Refuse(anchor, mark);
    if (tag != "?" && tag != "!") {
      throw Refused{UserErrorAt("yaml_tag", "YAML tags such as '!!str' are not supported", At(mark.pos, 1),
                                "leave the tag out; put texts that look like numbers in quotes")};
    }
    YamlNode node;
    node.kind = YamlNode::Kind::kScalar;
    node.quoted = tag == "!";
    const char first = static_cast<size_t>(mark.pos) < text_.size() ? text_[static_cast<size_t>(mark.pos)] : ' ';
    node.quote_width = node.quoted && (first == '\'' || first == '"') ? 1 : 0;
    node.in_flow = InFlow();
    node.text = value;
    node.place = At(mark.pos, std::max<size_t>(1, WrittenLength(mark, node)));
    Attach(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    Open(YamlNode::Kind::kSequence, mark, anchor, style);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value style) override {
    Open(YamlNode::Kind::kMapping, mark, anchor, style);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    YamlNode node;
    bool flow = false;
    bool key_read = false;
  };

  Place At(int position, size_t length) const {
    const size_t offset = std::min(static_cast<size_t>(std::max(position, 0)), text_.size());
    const auto next = std::upper_bound(lines_.begin(), lines_.end(), offset);
    return PlaceInLine(text_, file_, static_cast<int>(next - lines_.begin()), *std::prev(next), offset, length);
  }

  bool InFlow() const { return !frames_.empty() && frames_.back().flow; }

  void Refuse(YAML::anchor_t anchor, const YAML::Mark& mark) const {
    if (anchor == 0) return;
    throw Refused{UserErrorAt("yaml_anchor", "anchors (&) and aliases (*) are not supported", At(mark.pos, 1),
                              "write the value out; put texts that begin with & or * in quotes")};
  }

  /// yaml-cpp reports the key `null:` and the value `~` alike, as nothing: the file tells what was written.
  std::string_view PlainWord(int position) const {
    const std::string_view rest = text_.substr(std::min(static_cast<size_t>(std::max(position, 0)), text_.size()));
    for (const std::string_view word : {"null", "Null", "NULL", "~"}) {
      if (rest.starts_with(word)) return word;
    }
    return "";
  }

  /// Where a quoted text ends (behind the quote), or npos. yaml-cpp takes the file's end for a closing quote.
  size_t EndOfQuoted(size_t position) const {
    const char quote = text_[position];
    for (size_t at = position + 1; at < text_.size(); ++at) {
      if (quote == '"' && text_[at] == '\\') {
        ++at;
      } else if (text_[at] == quote) {
        const bool doubled = quote == '\'' && at + 1 < text_.size() && text_[at + 1] == '\'';
        if (!doubled) return at + 1;
        ++at;
      }
    }
    return std::string_view::npos;
  }

  /// How long a scalar is in the file; to the end of its first line when it is a block or goes over several lines.
  size_t WrittenLength(const YAML::Mark& mark, const YamlNode& node) const {
    const auto position = static_cast<size_t>(mark.pos);
    const std::string_view near = text_.substr(position, kExcerptBytesMax);
    const size_t line_end = position + std::min(near.find_first_of("\r\n"), near.size());
    if (node.quote_width > 0) {
      const size_t end = EndOfQuoted(position);
      if (end == std::string_view::npos) {
        throw Refused{
            UserErrorAt("yaml_syntax", "this quote is never closed", At(mark.pos, 1), "end the text with the same quote")};
      }
      return std::min(end, line_end) - position;
    }
    return text_.substr(position).starts_with(node.text) ? node.text.size() : line_end - position;
  }

  void Open(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor, YAML::EmitterStyle::value style) {
    Refuse(anchor, mark);
    if (frames_.size() >= kYamlDepthMax) {
      throw Refused{UserErrorAt("yaml_depth", "this is nested too deeply", At(mark.pos, 1), "at most 64 levels are read")};
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.in_flow = InFlow();
    frame.node.place = At(mark.pos, 1);
    frame.flow = style == YAML::EmitterStyle::Flow;
    frames_.push_back(std::move(frame));
  }

  void Close() {
    YamlNode node = std::move(frames_.back().node);
    frames_.pop_back();
    Attach(std::move(node));
  }

  void Attach(YamlNode node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.kind == YamlNode::Kind::kSequence) {
      frame.node.items.push_back(std::move(node));
    } else if (frame.key_read) {
      frame.node.entries.back().value = std::move(node);
      frame.key_read = false;
    } else {
      ReadKey(std::move(node), &frame);
    }
  }

  void ReadKey(YamlNode node, Frame* frame) const {
    if (node.kind != YamlNode::Kind::kScalar && node.text.empty()) {
      throw Refused{UserErrorAt("yaml_key", "a key must be a text", node.place, "write 'key: value', one on each line")};
    }
    frame->node.entries.push_back({std::move(node.text), std::move(node.place), {}});
    frame->key_read = true;
  }

  std::string_view text_;
  const std::string& file_;
  std::vector<size_t> lines_ = {0};  ///< where each line begins
  std::vector<Frame> frames_;
  std::optional<YamlNode> root_;
};

std::optional<Error> CheckBytes(std::string_view text, const std::string& file) {
  if (text.size() > kYamlBytesMax) {
    return UserErrorAt("file_too_large", "the file has " + std::to_string(text.size()) + " bytes; a definition has at most 4 MB",
                       FilePlace(file), "is this a data file? Data belongs in another folder, named by a source");
  }
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return UserErrorAt("not_utf8", "the file is not UTF-8 text but UTF-16", FilePlace(file), "save it as UTF-8");
  }
  const size_t invalid = FindInvalidUtf8(text);
  if (invalid == std::string_view::npos) return std::nullopt;
  Place place = PlaceAt(text, file, invalid, 1);
  // A terminal could not show the line.
  place.excerpt.clear();
  return UserErrorAt("not_utf8", "the file is not UTF-8 text", place, "save it as UTF-8");
}

/// A line up to `line` (from 1) that is indented with a tab: YAML forbids it, but yaml-cpp complains of something else.
std::optional<Place> FindTabIndent(std::string_view text, const std::string& file, int line) {
  size_t at = 0;
  for (int number = 1; number <= line && at < text.size(); ++number) {
    const size_t tab = text.find_first_not_of(' ', at);
    if (tab != std::string_view::npos && text[tab] == '\t') return PlaceAt(text, file, tab, 1);
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  return std::nullopt;
}

/// What a person can do about a message of yaml-cpp.
std::string SyntaxHint(std::string_view message) {
  if (message == "illegal map value") return "is the indentation right? Put texts that contain ': ' in quotes";
  if (message == "unknown token") return "put texts that begin with @, ` or % in quotes";
  if (message.find("EOF in scalar") != std::string_view::npos) return "the quote is never closed";
  if (message.find("flow") != std::string_view::npos)
    return "close each [ with ] and each { with }, and separate items by commas";
  return "look at the indentation and at brackets and quotes near this place";
}

Error SyntaxError(const YAML::Exception& exception, std::string_view text, const std::string& file, const NodeBuilder& builder) {
  if (const auto tab = FindTabIndent(text, file, exception.mark.line + 1)) {
    return UserErrorAt("yaml_tab", "a tab in the indentation", *tab, "indent with spaces");
  }
  const std::string hint = SyntaxHint(exception.msg);
  const auto open = builder.OpenFlow();
  if (open && exception.msg.starts_with("end of ") && exception.msg.ends_with("flow not found")) {
    return UserErrorAt("yaml_syntax", "this bracket is never closed", *open, hint);
  }
  const size_t position = std::min(static_cast<size_t>(std::max(exception.mark.pos, 0)), text.size());
  return UserErrorAt("yaml_syntax", "not valid YAML: " + exception.msg, PlaceAt(text, file, position, 1), hint);
}

/// Reads on after the first document: there must be nothing else. yaml-cpp takes a line with too little indentation for
/// the beginning of another document.
void RefuseSecondDocument(YAML::Parser& parser, std::string_view text, const std::string& file) {
  class First : public YAML::EventHandler {
   public:
    std::optional<YAML::Mark> mark;
    void OnDocumentStart(const YAML::Mark& at) override { mark = at; }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
  } first;
  if (!parser.HandleNextDocument(first) || !first.mark) return;
  const size_t at = std::min(static_cast<size_t>(std::max(first.mark->pos, 0)), text.size());
  throw Refused{UserErrorAt("yaml_documents", "a second document begins here", PlaceAt(text, file, at, 1),
                            "one file holds one document: look at the indentation, and leave out '---'")};
}

Result<YamlNode> ReadDocument(std::string_view text, const std::string& file) {
  NodeBuilder builder(text, file);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    if (parser.HandleNextDocument(builder)) RefuseSecondDocument(parser, text, file);
  } catch (const YAML::Exception& exception) {
    return SyntaxError(exception, text, file, builder);
  } catch (Refused& refused) {
    return std::move(refused.error);
  }
  if (!builder.root() || builder.root()->kind == YamlNode::Kind::kNull) {
    return UserErrorAt("empty_file", "the file is empty", FilePlace(file), "docs/formats.md shows what belongs in it");
  }
  return std::move(*builder.root());
}

}  // namespace

YamlNode::ScalarType YamlNode::Type() const {
  if (quoted) return ScalarType::kText;
  if (text == "true" || text == "false") return ScalarType::kBoolean;
  bool whole = false;
  if (!ReadsAsNumber(text, &whole)) return ScalarType::kText;
  if (!whole) return ScalarType::kNumber;
  int64_t value = 0;
  const std::string_view digits = WithoutPlus(text);
  const bool fits = std::from_chars(digits.data(), digits.data() + digits.size(), value).ec == std::errc{};
  return fits ? ScalarType::kInteger : ScalarType::kNumber;
}

const YamlEntry* YamlNode::FindEntry(std::string_view key) const {
  const auto entry = std::find_if(entries.begin(), entries.end(), [&](const YamlEntry& e) { return e.key == key; });
  return entry == entries.end() ? nullptr : &*entry;
}

const YamlNode* YamlNode::Find(std::string_view key) const {
  const YamlEntry* entry = FindEntry(key);
  return entry == nullptr ? nullptr : &entry->value;
}

int64_t YamlNode::Integer() const {
  int64_t value = 0;
  const std::string_view digits = WithoutPlus(text);
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

double YamlNode::Number() const {
  double value = 0;
  const std::string_view digits = WithoutPlus(text);
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

Value YamlNode::ToValue() const {
  if (kind != Kind::kScalar) return {};
  switch (Type()) {
    case ScalarType::kBoolean: return Boolean();
    case ScalarType::kInteger: return Integer();
    case ScalarType::kNumber: return Number();
    case ScalarType::kText: return text;
  }
  return {};
}

std::vector<std::string> YamlNode::Texts() const {
  if (kind == Kind::kScalar) return {text};
  std::vector<std::string> texts;
  for (const YamlNode& item : items) texts.push_back(item.text);
  return texts;
}

Place YamlNode::ContentPlace() const {
  Place content = place;
  if (quote_width > 0) {
    content.column += quote_width;
    content.length = std::max(1, content.length - 2 * quote_width);
  }
  return content;
}

Result<YamlNode> ParseYaml(std::string_view text, const std::string& file) {
  if (auto error = CheckBytes(text, file)) return std::move(*error);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return ReadDocument(text, file);
}

Place FilePlace(const std::string& file) {
  Place place;
  place.file = file;
  return place;
}

Place PlaceAt(std::string_view text, const std::string& file, size_t offset, size_t length_bytes) {
  const size_t before = offset == 0 ? std::string_view::npos : text.rfind('\n', offset - 1);
  const size_t begin = before == std::string_view::npos ? 0 : before + 1;
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(begin), '\n');
  return PlaceInLine(text, file, static_cast<int>(line), begin, offset, length_bytes);
}

}  // namespace tidemill
