// The values that templates compute with, as Python sees them.
//
// A Value is 16 trivially copyable bytes: a scalar, a view of UTF-8 text, or a pointer into
// the render's Arena.  Lists, tuples and dicts never change once a template can see them (the
// sandbox forbids mutation), so slices and appended strings share storage freely; only
// namespaces, iterators, cyclers and joiners have state.
//
// Invariants: text is valid UTF-8; containers nest at most kNestingMax deep, which makes
// comparison, hashing and printing safe to write as plain recursion.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "text/jinja/arena.h"

namespace hearth::text::jinja {

// How deep lists, tuples and dicts may nest, in the context too.  Tool schemas of real
// clients stay under 20.
inline constexpr std::uint32_t kNestingMax = 200;

// How much a list, tuple or dict may hold, counted as printing it would visit it: a value each,
// and 64 bytes of text as much as a value.  Sharing makes trees cheap to build (`[x, x]`, again
// and again); this keeps a single comparison or print of one affordable.
inline constexpr std::uint32_t kWeightMax = 1u << 22;

// Integers are 128 bits wide: Python's have no limit, and JSON brings 64-bit unsigned ones.
using WideInt = __int128;

enum class Kind : std::uint8_t {
  kMissing,  // No value at all: an argument that was not given.  Templates never see it.
  kUndefined,
  kNone,
  kBool,
  kInt,
  kWideInt,  // An integer outside of 64 bits.
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kDictView,  // dict.keys(), .values(), .items().
  kRange,
  kIterator,  // What map, select and their like return: it can be walked once.
  kNamespace,
  kFunction,  // A built-in function, or a method with its object.
  kMacro,
  kLoop,
  kCycler,
  kJoiner,
};

class Value;
struct DictEntry;
struct NativeFunction;
struct Macro;      // interpreter.h
struct LoopState;  // interpreter.h

// How big a value is: `depth` as containers nest, `weight` as a walk over it costs.
struct Extent {
  std::uint32_t depth = 0;
  std::uint32_t weight = 1;

  // Makes room for one more child, saturating.
  void add(const Extent& child) {
    if (child.depth >= depth) depth = child.depth + 1;
    weight = weight > UINT32_MAX - child.weight ? UINT32_MAX : weight + child.weight;
  }
  bool within_limits() const { return depth <= kNestingMax && weight <= kWeightMax; }
};

struct Sequence {
  std::uint32_t size;
  bool is_group;  // A result of groupby: has the attributes grouper and list.
  Extent extent;
  const Value* items;

  std::span<const Value> span() const;
};

// Insertion-ordered; an index is made once a dict outgrows linear search.
struct Dict {
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;
  Extent extent = {1, 1};
  std::uint32_t index_size = 0;  // A power of two, or 0 for none.
  DictEntry* entries = nullptr;
  std::uint32_t* index = nullptr;  // Entry number + 1; 0 is free.

  std::span<const DictEntry> span() const;
  // Null if absent.  `key` must be hashable.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  // Sets or overwrites; a key keeps its first position.  `key` must be hashable.
  void set(Arena& arena, const Value& key, const Value& value);

 private:
  DictEntry* find_entry(const Value& key) const;
  void rebuild_index(Arena& arena);
};

enum class ViewOf : std::uint8_t { kKeys, kValues, kItems };

struct DictView {
  const Dict* dict;
  ViewOf what;
};

struct Range {
  std::int64_t start, stop, step;
  std::int64_t size;
};

struct Iterator {
  const char* type_name;  // As Python names it: "generator", "list_reverseiterator".
  const Sequence* items;
  std::uint32_t next;
};

struct Namespace {
  Dict attributes;
};

struct BoundFunction;
struct Cycler;
struct Joiner;

// Why a value is undefined, so that using it can say so.
enum class UndefinedBecause : std::uint8_t {
  kName,       // A variable of this name does not exist.
  kAttribute,  // An object of kind `owner` has no attribute of this name.
  kElement,    // An object of kind `owner` has no element of this (printed) key.
  kUnsafe,     // The sandbox hides the attribute of this name.
  kHint,       // The text is the whole reason.
};

class Value {
 public:
  Value() : Value(Kind::kMissing) {}

  static Value missing() { return Value(Kind::kMissing); }
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool value) {
    Value v(Kind::kBool);
    v.bool_ = value;
    return v;
  }
  static Value integer(std::int64_t value) {
    Value v(Kind::kInt);
    v.int_ = value;
    return v;
  }
  static Value wide(Arena& arena, WideInt value);
  static Value real(double value) {
    Value v(Kind::kFloat);
    v.float_ = value;
    return v;
  }
  // Borrows `text`, which must be valid UTF-8 and outlive the render.
  static Value string(std::string_view text, bool is_markup = false) {
    Value v(Kind::kString);
    v.text_ = text.data();
    v.size_ = static_cast<std::uint32_t>(text.size());
    v.is_markup_ = is_markup;
    return v;
  }
  // Borrows `reason`.
  static Value undefined(UndefinedBecause because, std::string_view reason,
                         Kind owner = Kind::kMissing) {
    Value v(Kind::kUndefined);
    v.text_ = reason.data();
    v.size_ = static_cast<std::uint32_t>(reason.size());
    v.because_ = because;
    v.owner_ = owner;
    return v;
  }
  static Value list(const Sequence* items) { return pointer(Kind::kList, items); }
  static Value tuple(const Sequence* items) { return pointer(Kind::kTuple, items); }
  static Value dict(const Dict* dict) { return pointer(Kind::kDict, dict); }
  static Value view(const DictView* view) { return pointer(Kind::kDictView, view); }
  static Value range(const Range* range) { return pointer(Kind::kRange, range); }
  static Value iterator(Iterator* iterator) { return pointer(Kind::kIterator, iterator); }
  static Value name_space(Namespace* space) { return pointer(Kind::kNamespace, space); }
  static Value function(const BoundFunction* f) { return pointer(Kind::kFunction, f); }
  static Value macro(const Macro* macro) { return pointer(Kind::kMacro, macro); }
  static Value loop(LoopState* loop) { return pointer(Kind::kLoop, loop); }
  static Value cycler(Cycler* cycler) { return pointer(Kind::kCycler, cycler); }
  static Value joiner(Joiner* joiner) { return pointer(Kind::kJoiner, joiner); }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_markup() const { return kind_ == Kind::kString && is_markup_; }
  // True for bool too, which is an int to Python.
  bool is_integer() const {
    return kind_ == Kind::kInt || kind_ == Kind::kBool || kind_ == Kind::kWideInt;
  }
  bool is_number() const { return is_integer() || kind_ == Kind::kFloat; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  // Each asks for a matching kind.
  bool as_bool() const { return bool_; }
  std::int64_t as_int() const { return int_; }
  double as_float() const { return float_; }
  std::string_view text() const { return {text_, size_}; }
  const Sequence& sequence() const { return *static_cast<const Sequence*>(pointer_); }
  const Dict& dict() const { return *static_cast<const Dict*>(pointer_); }
  const DictView& view() const { return *static_cast<const DictView*>(pointer_); }
  const Range& range() const { return *static_cast<const Range*>(pointer_); }
  Iterator& iterator() const { return *mutable_pointer<Iterator>(); }
  Namespace& name_space() const { return *mutable_pointer<Namespace>(); }
  const BoundFunction& function() const { return *static_cast<const BoundFunction*>(pointer_); }
  const Macro& macro() const { return *static_cast<const Macro*>(pointer_); }
  LoopState& loop() const { return *mutable_pointer<LoopState>(); }
  Cycler& cycler() const { return *mutable_pointer<Cycler>(); }
  Joiner& joiner() const { return *mutable_pointer<Joiner>(); }
  const void* identity() const { return pointer_; }
  UndefinedBecause because() const { return because_; }
  Kind owner() const { return owner_; }

  // The value of any integer kind, bool included.
  WideInt as_wide() const;
  Extent extent() const;

 private:
  explicit Value(Kind kind) : int_(0), kind_(kind) {}
  static Value pointer(Kind kind, const void* to) {
    Value v(kind);
    v.pointer_ = to;
    return v;
  }
  template <class T>
  T* mutable_pointer() const {
    return static_cast<T*>(const_cast<void*>(pointer_));
  }

  union {
    bool bool_;
    std::int64_t int_;
    double float_;
    const char* text_;
    const void* pointer_;
  };
  std::uint32_t size_ = 0;
  Kind kind_;
  bool is_markup_ = false;
  UndefinedBecause because_ = UndefinedBecause::kName;
  Kind owner_ = Kind::kMissing;
};
static_assert(sizeof(Value) == 16 && std::is_trivially_copyable_v<Value>);

struct DictEntry {
  Value key;
  Value value;
};

inline std::span<const Value> Sequence::span() const { return {items, size}; }
inline std::span<const DictEntry> Dict::span() const { return {entries, size}; }

struct BoundFunction {
  const NativeFunction* function;
  Value self;  // Missing for a global function.
};

struct Cycler {
  const Sequence* items;
  std::uint32_t position;
};

struct Joiner {
  Value separator;
  bool used;
};

// Python's name for the type: "str", "dict", "NoneType".
std::string_view type_name(Kind kind);
std::string_view type_name(const Value& value);

// bool(value).
bool truth(const Value& value);

// Python's ==.  Numbers compare across kinds, dicts without regard to order.
bool equal(const Value& a, const Value& b);

// What may be a dict key: no list, dict or view, in tuples neither.
bool hashable(const Value& value);
std::uint64_t hash(const Value& value);

// What using an undefined value says, as Jinja words it.
Error undefined_error(const Value& value);

// An error of the template's own making.
inline std::unexpected<Error> template_error(
    std::string message, std::source_location where = std::source_location::current()) {
  return fail(Code::kInvalidArgument, std::move(message), where);
}

}  // namespace hearth::text::jinja
