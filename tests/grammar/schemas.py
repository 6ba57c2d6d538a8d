"""Random JSON schemas of the kinds that Hearth enforces, from a seed.

Every schema can be met, and by small values: what a model at temperature 1.5 writes should
end.  Equal seeds give equal schemas.
"""

import random

NAMES = ["name", "age", "id", "tags", "is_ok", "größe", "a b", "x\"y", "price", "when", "", "nested", "kind", "items", "名前"]
WORDS = ["red", "green", "blue", "naïve", "a\"b", "back\\slash", "two words", "", "日本", "tab\t"]
PATTERNS = ["^[a-z]{2,5}$", "^[A-Z][a-z]+$", "b+", "^\\d{3}-\\d{4}$", "^(foo|bar)(baz)?$", "[^a]$", "^.{3}$", "^\\w+@\\w+\\.com$",
            "^[\\u00e0-\\u00ff ]{1,4}$", "^\\s*x?\\S\\S$", "^(a|b(c|d)*){1,3}$", "^[+-]?\\d{1,9}(\\.\\d{1,2})?$", "^a.c|z$", "^\\\\\\/\"?$"]
FORMATS = ["date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri"]
KINDS = {"one", "two", "three", "four"}


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.definitions = {}

    def pick(self, *choices):
        return self.random.choice(choices)()

    def chance(self, share):
        return self.random.random() < share

    def whole(self):
        """An object or array around the rest, and recursive definitions in some."""
        schema = self.pick(lambda: self.object(3), lambda: self.object(3), lambda: self.array(3), lambda: self.schema(3))
        if self.chance(0.15):
            schema = self.recursive(schema)
        if self.definitions:
            schema = {**schema, "$defs": self.definitions} if "$ref" not in schema else {"allOf": [schema], "$defs": self.definitions}
        if self.chance(0.3):
            schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "T", "description": "d", **schema}
        return schema

    def schema(self, depth):
        scalars = [self.string, self.integer, self.number, self.constant, lambda: {"type": "boolean"}, lambda: {"type": "null"}]
        if depth <= 0:
            return self.pick(*scalars)
        return self.pick(*scalars, lambda: self.object(depth - 1), lambda: self.object(depth - 1), lambda: self.array(depth - 1),
                         lambda: self.tuple(depth - 1), lambda: self.any_of(depth - 1), lambda: self.one_of(depth - 1),
                         lambda: self.all_of(depth - 1), lambda: self.reference(depth - 1), self.types, lambda: self.map(depth - 1),
                         lambda: {"type": "object"} if self.chance(0.2) else {"type": "boolean"})

    def string(self):
        kind = self.random.random()
        if kind < 0.3:
            low = self.random.randint(0, 6)
            return {"type": "string", "minLength": low, "maxLength": low + self.random.randint(0, 12)}
        if kind < 0.4:
            return {"type": "string", "maxLength": self.random.randint(0, 40)}
        if kind < 0.65:
            return {"type": "string", "pattern": self.random.choice(PATTERNS)}
        if kind < 0.85:
            return {"type": "string", "format": self.random.choice(FORMATS)}
        return {"type": "string"}

    def integer(self):
        schema = {"type": "integer"}
        if self.chance(0.7):
            low = self.random.choice([self.random.randint(-20, 20), self.random.randint(-10**6, 10**6), 0, 1])
            if self.chance(0.8):
                schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
            if self.chance(0.8):
                schema[self.random.choice(["maximum", "exclusiveMaximum"])] = low + self.random.randint(2, 10**self.random.randint(1, 7))
        return schema

    def number(self):
        schema = {"type": "number"}
        if self.chance(0.7):
            low = round(self.random.uniform(-100, 100), self.random.randint(0, 4))
            if self.chance(0.8):
                schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
            if self.chance(0.8):
                schema[self.random.choice(["maximum", "exclusiveMaximum"])] = round(low + self.random.uniform(0.01, 1000), 4)
        return schema

    def constant(self):
        values = self.random.sample([*WORDS, 1, -7, 2.5, None, True, {"a": [1, "b"]}, [None, {}]], self.random.randint(1, 5))
        return {"const": values[0]} if len(values) == 1 else {"enum": values}

    def types(self):
        return {"type": self.random.sample(["string", "integer", "boolean", "null", "number"], 2)}

    def object(self, depth):
        names = self.random.sample(NAMES, self.random.randint(1, 5))
        schema = {"type": "object", "properties": {name: self.schema(depth) for name in names},
                  "required": [name for name in names if self.chance(0.6)]}
        if self.chance(0.5):
            schema["additionalProperties"] = False
        elif self.chance(0.15):
            schema["additionalProperties"] = self.schema(0)
        if self.chance(0.1):
            schema["required"].append("unlisted") if schema.get("additionalProperties") is not False else None
        return schema

    def map(self, depth):
        schema = {"type": "object", "additionalProperties": self.schema(min(depth, 1)), "maxProperties": self.random.randint(1, 4)}
        if self.chance(0.3):
            schema["minProperties"] = 1
        if self.chance(0.3):
            schema["propertyNames"] = {"enum": ["k1", "k2", "k3"]}
        return schema

    def array(self, depth):
        schema = {"type": "array", "items": self.schema(depth)}
        low = self.random.randint(0, 3)
        if self.chance(0.6):
            schema["minItems"] = low
        if self.chance(0.8):
            schema["maxItems"] = low + self.random.randint(0, 3)
        return schema

    def tuple(self, depth):
        first = [self.schema(depth) for _ in range(self.random.randint(1, 3))]
        schema = {"type": "array", "prefixItems": first}
        if self.chance(0.7):
            schema["minItems"] = self.random.randint(0, len(first))
        if self.chance(0.5):
            schema["items"] = False if self.chance(0.6) else self.schema(0)
            if schema["items"] is not False:
                schema["maxItems"] = len(first) + 2
        return schema

    def any_of(self, depth):
        return {"anyOf": [self.schema(depth) for _ in range(self.random.randint(1, 3))]}

    def one_of(self, depth):
        """Alternatives that exclude one another: by their type, or by a property."""
        if self.chance(0.4):
            return {"oneOf": [{"type": "null"}, self.string(), self.integer()]}
        kinds = self.random.sample(sorted(KINDS), self.random.randint(2, 3))
        return {"oneOf": [{"type": "object", "properties": {"kind": {"const": kind}, "value": self.schema(depth)},
                           "required": ["kind"]} for kind in kinds]}

    def all_of(self, depth):
        return {"allOf": [self.object(depth - 1), {"type": "object", "properties": {"more": self.schema(0)}, "required": ["more"]}]} \
            if self.chance(0.5) else {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 3000}]}

    def reference(self, depth):
        name = f"d{len(self.definitions)}/~{self.random.randint(0, 9)}"
        self.definitions[name] = {}
        self.definitions[name] = self.schema(depth)
        pointer = name.replace("~", "~0").replace("/", "~1")
        return {"$ref": f"#/$defs/{pointer}"}

    def recursive(self, leaf):
        self.definitions["tree"] = {
            "type": "object",
            "properties": {"value": leaf, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]}},
            "required": ["value"] if self.chance(0.5) else ["value", "next"],
            "additionalProperties": False}
        return {"$ref": "#/$defs/tree"}


def make(seed):
    schema = Maker(seed).whole()
    return without_closed_all_of(schema)


def without_closed_all_of(schema):
    """allOf of a closed object and another one can be met by nothing: opens it."""
    if isinstance(schema, list):
        return [without_closed_all_of(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: without_closed_all_of(value) if key not in ("const", "enum") else value for key, value in schema.items()}
    if "allOf" in out and len(out["allOf"]) > 1:
        out["allOf"] = [{k: v for k, v in part.items() if k != "additionalProperties"} for part in out["allOf"]]
    return out
