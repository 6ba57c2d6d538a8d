// JSON Schema as a grammar.
//
// Enforced: type (also lists, and `nullable`), properties, required, additionalProperties,
// propertyNames, minProperties and maxProperties where counting needs no memory, items,
// prefixItems, minItems, maxItems, enum, const, anyOf, oneOf whose alternatives exclude one
// another, allOf and $ref, also recursive ones, pattern, format, minLength, maxLength, minimum,
// maximum, exclusiveMinimum, exclusiveMaximum.
//
// Answers are a subset of what the schema allows: properties come in its order; where it lists
// properties and says nothing of others, there are no others; numbers with bounds have no exponent.
//
// Every other assertion is refused by its name; annotations and words that JSON Schema does not
// know are skipped, as its specification has it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "text/grammar/json_number.h"
#include "text/grammar/json_text.h"
#include "text/grammar/rules.h"

namespace hearth::text::grammar {

using Schema = nlohmann::ordered_json;

inline constexpr std::size_t kPropertyNameBytesMax = 512;
inline constexpr std::size_t kPropertiesMax = 2'000;
inline constexpr std::size_t kOneOfMax = 256;
inline constexpr std::size_t kComparedBytesMax = std::size_t{64}
                                                 << 20;  // Of schemas, to find equal ones.
inline constexpr std::size_t kMergesMax = 2'000;         // allOf and $ref beside other keywords.

// ---- What does not depend on a grammar (json_schema_merge.cpp) ----

// Finds what "#/..." names in `root`.
Result<const Schema*> resolve_reference(const Schema& root, std::string_view reference);

// A schema that is met exactly by what meets both, with $ref and allOf left inside of its parts.
// kInvalidArgument names a keyword that can't be merged.
Result<Schema> merge_schemas(const Schema& a, const Schema& b);

// `a` and `b` as one: equal ones are one, lists of allOf are joined.
Schema all_of(const Schema& a, const Schema& b);

// Whether no value can meet both, as far as types, constants and required properties tell.
bool exclude_one_another(const Schema& root, const Schema& a, const Schema& b, int depth = 0);

// ---- The compiler ----

// Threading: externally synchronised; one per grammar.
class SchemaCompiler {
 public:
  SchemaCompiler(Rules& rules, const Schema& root) : rules_(rules), text_(rules), root_(root) {}

  Result<NodeId> run() { return compile(root_); }

 private:
  class Place;  // A step into a part of the schema, for messages.

  std::unexpected<Error> wrong(std::string_view what) const;

  Result<NodeId> compile(const Schema& schema);
  Result<NodeId> body_of(const Schema& schema);
  Result<> check_keywords(const Schema& schema) const;
  Result<NodeId> merged(const Schema& schema);
  Result<> collect(const Schema& schema, std::vector<Schema>& parts, std::size_t depth);
  Result<NodeId> any_of(const Schema& schema, const char* keyword);
  Result<NodeId> constants(const Schema& schema);
  Result<NodeId> typed(const Schema& schema);
  Result<std::vector<std::string>> types_of(const Schema& schema) const;
  Result<NodeId> of_type(const Schema& schema, const std::string& type);

  // Strings and numbers (json_schema_scalars.cpp).
  Result<NodeId> string(const Schema& schema);
  Result<NodeId> number(const Schema& schema, bool is_integer);
  Result<std::optional<std::uint64_t>> multiple_of(const Schema& schema) const;
  Result<Bounds> bounds_of(const Schema& schema) const;
  Result<std::optional<std::uint32_t>> count_of(const Schema& schema, const char* keyword) const;
  Result<> read_counts(const Schema& schema, const char* least, const char* most,
                       std::uint32_t& min, std::uint32_t& max) const;

  // Objects and arrays (json_schema_objects.cpp).
  struct Property {
    std::string name;
    NodeId member;
    bool is_required;
  };
  struct Extras {  // Properties that are not listed.
    bool is_allowed = false;
    NodeId member{};
    std::uint32_t min = 0, max = kUnbounded;
  };
  Result<NodeId> object(const Schema& schema);
  Result<std::vector<Property>> properties_of(const Schema& schema);
  Result<Extras> extras_of(const Schema& schema, const std::vector<Property>& properties);
  Result<> read_property_counts(const Schema& schema, const std::vector<Property>& properties,
                                Extras& extras) const;
  NodeId members(const std::vector<Property>& properties, const Extras& extras);
  Result<NodeId> array(const Schema& schema);
  Result<NodeId> prefixed(const std::vector<NodeId>& prefix, std::optional<NodeId> rest,
                          std::uint32_t min, std::uint32_t max);

  Rules& rules_;
  JsonText text_;
  const Schema& root_;
  std::map<std::string, RuleId> known_;  // By the schema's text: equal schemas are one rule.
  std::vector<std::string> place_;
  std::size_t n_merges_ = 0;
  std::size_t n_compared_bytes_ = 0;
};

class SchemaCompiler::Place {
 public:
  Place(SchemaCompiler& compiler, std::string step) : compiler_(compiler) {
    compiler.place_.push_back(std::move(step));
  }
  ~Place() { compiler_.place_.pop_back(); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  SchemaCompiler& compiler_;
};

}  // namespace hearth::text::grammar
