#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"
#include "base/utf8.h"

namespace tidemill {

struct YamlEntry;

/// A node of a YAML document with its place. Scalars keep their text as written, so that nothing is lost by guessing types:
/// `NO` stays "NO", `1.50` stays "1.50". Value type.
struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  /// The JSON type of a scalar by YAML 1.2's core schema: only true and false are booleans, quoted scalars are text.
  enum class ScalarType { kText, kBoolean, kInteger, kNumber };

  Kind kind = Kind::kNull;
  bool quoted = false;             ///< scalars: 'x', "x" or a block (| or >)
  int quote_width = 0;             ///< scalars: 1 when the text stands behind a quote
  bool in_flow = false;            ///< inside [] or {}
  std::string text;                ///< scalars
  Place place;                     ///< mappings and sequences: of their beginning
  std::vector<YamlNode> items;     ///< sequences
  std::vector<YamlEntry> entries;  ///< mappings, in the file's order, duplicates included

  bool IsText() const { return kind == Kind::kScalar && Type() == ScalarType::kText; }
  ScalarType Type() const;
  /// nullptr when this is no mapping or has no such key.
  const YamlNode* Find(std::string_view key) const;
  const YamlEntry* FindEntry(std::string_view key) const;

  /// The scalar's value; the caller knows its type (from the schema).
  bool Boolean() const { return text == "true"; }
  int64_t Integer() const;
  double Number() const;
  Value ToValue() const;
  /// The items' texts of a sequence, or the one text of a scalar.
  std::vector<std::string> Texts() const;
  /// The place where the text itself begins: behind the quote.
  Place ContentPlace() const;
};

struct YamlEntry {
  std::string key;
  Place place;  ///< of the key
  YamlNode value;
};

/// Reads one YAML document. `file` is what places say. Refused with a place: text that is not UTF-8, an empty file, YAML
/// errors, more than one document, anchors, aliases and tags, and files above 4 MB. Duplicate keys are kept for the validator.
Result<YamlNode> ParseYaml(std::string_view text, const std::string& file);

/// The place of a whole file, when there is nothing better.
Place FilePlace(const std::string& file);

/// The place of the byte at `offset` of a text; columns count characters.
Place PlaceAt(std::string_view text, const std::string& file, size_t offset, size_t length_bytes);

}  // namespace tidemill
