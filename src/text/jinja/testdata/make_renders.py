#!/usr/bin/env python3
"""Writes renders.jsonl: what Jinja2 makes of the snippets below, for renders_test.cpp.

Needs jinja2 (3.1.6 when the file was written).  The environment is that of transformers'
chat templates.  Each row has the template, its context, and the output or the error; where
Jinja raises, our render must fail too, in words of its own.

Usage: make_renders.py > renders.jsonl
"""
import copy
import datetime
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2026, 11, 20, 9, 30)  # Also change kNow in renders_test.cpp.

CONTEXT = {
    "text": "Hello, World",
    "unicode": "Ärger ÉCOLE straße ΣΑΣ ﬁ 日本",
    "empty": "",
    "lines": "one\ntwo\r\n\n three \n",
    "html": "<b>&'\"</b>",
    "n": 7,
    "zero": 0,
    "neg": -3,
    "pi": 3.14159,
    "big": 18446744073709551615,
    "yes": True,
    "no": False,
    "nothing": None,
    "nums": [3, 1, 2],
    "names": ["bob", "Al", "Cy", "al"],
    "users": [
        {"name": "Bob", "age": 30, "tags": ["x", "y"]},
        {"name": "alice", "age": 25},
        {"name": "Bob", "age": None},
    ],
    "obj": {"a": 1, "b": [1, 2], "items": "mine", "c d": None},
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
}

# One expression each, printed.
EXPRESSIONS = """
1 + 2 * 3 - 4 / 2
7 // 2 ~ ' ' ~ -7 // 2 ~ ' ' ~ 7 % -3 ~ ' ' ~ -7 % 3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
10 ** 30
big + 1
1 / 0
1 // 0
1 % 0
1e16
1e15
0.1 + 0.2
1e-5
100.0
1_000
0x1F + 0b11 + 0o17
1.5e3
-0.0
'a' + 'b'
'a' + 1
1 + 'a'
'ab' * 3
3 * [1, 2]
[1] + [2]
(1,) + (2,)
[1] + (2,)
'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1]
1 < 2 < 3
1 < 3 < 2
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
1 == 1.0
true == 1
'1' == 1
1 in [1, 2]
'ell' in text
'x' not in text
1 in text
'a' in obj
'zz' in obj
[1] in [[1]]
[] in {}
none in [none]
not true or true and false
0 or 'x'
1 and 'x'
'' or none
missing or 'fallback'
'y' if n > 5 else 'z'
'y' if n > 9
('y' if n > 9) is undefined
1 if 0 else 2 if 0 else 3
[1, 'two', 3.0, none, true, [4], (5,), {'k': 'v'}, missing]
(1,)
()
{}
{'a': 1, 2: 'b', none: [], (1, 2): 3}
{[]: 1}
{'a': 1, 'a': 2}
"it's"
["it's", 'say "hi"', 'both \\' and "']
['tab\\t', 'nl\\n', 'back\\\\slash', '\\x00', '\\x7f', 'é', '\\u200b']
'\\u00e9\\x41\\101\\q'
'a' 'b' "c"
text[0] ~ text[-1]
text[100]
text[2:5]
text[::-1]
text[::2]
text[-3:]
text[5:2]
text[10:1:-3]
unicode[0:1] ~ unicode[-1]
nums[1:]
nums[::-1]
nums[5]
nums['x']
nums.0
nums[-1]
nums[1.5]
(1, 2, 3)[1:]
range(10)[2:8:3]
range(5)[1]
range(3) | list
range(1, 10, 3) | list
range(5, 0, -2) | list
range(0, 3)
range(0, 10, 2)
range(1, 2, 0)
range(100001)
obj.a
obj['a']
obj.missing
obj.missing.deeper
obj['c d']
obj.items is callable
obj.items()
obj['items']
obj.keys()
obj.values() | list
obj.get('a')
obj.get('zz')
obj.get('zz', 'd')
obj.get([])
obj.pop('a')
nums.append(4)
nums.index(1)
nums.index(9)
nums.count(3)
missing
missing.attribute
missing + 1
missing[0]
missing()
n()
n.x
none.x
text.upper() ~ text.lower() ~ text.title() ~ text.swapcase() ~ 'aBC'.capitalize()
unicode.upper() ~ unicode.lower() ~ unicode.title() ~ unicode.casefold()
text.split()
text.split(', ')
text.split('l', 1)
text.rsplit('l', 1)
text.split(sep=',', maxsplit=0)
'  a  b  c  '.split()
'  a  b  c  '.split(none, 1)
'  a  b  c  '.rsplit(none, 1)
text.split('')
lines.splitlines()
lines.splitlines(true)
'  x '.strip() ~ '|' ~ '  x '.lstrip() ~ '|' ~ '  x '.rstrip() ~ '|'
'xxaxx'.strip('x') ~ 'abcab'.lstrip('ba')
text.strip(1)
text.replace('l', 'L') ~ text.replace('l', 'L', 1) ~ 'ab'.replace('', '-')
text.startswith('Hell') ~ text.endswith(('x', 'd')) ~ text.startswith('ell', 1)
text.find('o') ~ text.rfind('o') ~ text.find('zz') ~ text.find('o', 5, 8)
text.index('zz')
text.count('l') ~ text.count('') ~ text.count('l', 4)
'-'.join(names)
'-'.join(nums)
'ab'.center(7, '*') ~ '|' ~ 'ab'.ljust(5) ~ '|' ~ 'ab'.rjust(5) ~ '|' ~ '-42'.zfill(6)
'a\\tb'.expandtabs(4)
text.partition(', ') ~ text.rpartition('l') ~ text.partition('zz')
text.removeprefix('Hell') ~ text.removesuffix('d')
'٣'.isdigit() ~ '½'.isnumeric() ~ 'a1'.isalnum() ~ 'é'.isalpha() ~ ' '.isspace() ~ ''.isalpha()
'Ab'.istitle() ~ 'AB'.isupper() ~ 'ab1'.islower() ~ '1'.islower() ~ 'é'.isascii()
'{} {}'.format(1, 'b') ~ '{1} {0}'.format(1, 2) ~ '{x}'.format(x=3) ~ '{{}}'.format()
'{0.a} {1[0]}'.format(obj, nums)
'{:>5}|{:<5}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd')
'{:05d} {:+} {:,} {:x} {:#x} {:b} {:e} {:.2f} {:%} {:g}'.format(42, 5, 1234567, 255, 255, 5, pi, pi, 0.25, 1e10)
'{!r} {!s:>4}'.format('q', 1)
'{:{}}|'.format('a', 4)
'{} {0}'.format(1)
'{'.format(1)
'{:d}'.format('a')
'{:5}'.format(none)
'%s %d %r %5.2f %x %%' % ('a', 3, 'b', pi, 255)
'%(a)s-%(b)s' % obj
'%s' % nothing
'%s' % (1, 2)
'%d' % 'a'
'%5s|%-5s|%05d|%+d' % ('a', 'b', 3, 4)
'%c%c' % ('a', 98)
'%s' % missing
text | upper ~ text | lower
(text | upper) ~ (text | lower)
'hello wORLD-foo (bar)' | title
'foo BAR' | capitalize
'  x ' | trim ~ '|'
'xxaxx' | trim('x')
text | length
unicode | length
nums | length ~ obj | length
n | length
nums | first ~ nums | last
[] | first
[] | last
'' | first is undefined
nums | sort
names | sort
names | sort(case_sensitive=true)
names | sort(reverse=true)
users | sort(attribute='name') | map(attribute='age') | list
[1, 'a'] | sort
names | unique | list
names | unique(case_sensitive=true) | list
[[], []] | unique | list
nums | reverse | list
text | reverse
nums | sum
users | sum(attribute='name')
[0.5, 1] | sum
[[1], [2]] | sum(start=[])
nums | min ~ nums | max
[] | min
names | max
users | min(attribute='name')
nums | join
names | join(', ')
users | join('/', attribute='name')
nums | map('string') | join('+')
users | map(attribute='name') | list
users | map(attribute='tags.0', default='-') | list
users | map(attribute='tags', default=[]) | map('length') | list
names | map('upper') | list
names | map('nosuch') | list
users | selectattr('age') | map(attribute='name') | list
users | selectattr('name', 'equalto', 'Bob') | list | length
users | selectattr('age', 'none') | list
users | rejectattr('tags', 'defined') | map(attribute='name') | list
nums | select('odd') | list
nums | reject('gt', 1) | list
['', 'a', none] | select | list
users | groupby('name')
users | groupby('age', default=0)
users | groupby('age')
(users | groupby('name'))[0].grouper
(users | groupby('name') | first).list | length
[1, 2, 3, 4, 5] | batch(2) | list
[1, 2, 3, 4, 5] | batch(2, 0) | list
[1, 2, 3, 4, 5] | slice(2) | list
[1, 2, 3, 4, 5] | slice(3, 0) | list
{'b': 1, 'A': 2} | dictsort
{'b': 1, 'A': 2} | dictsort(true)
{'b': 1, 'A': 2} | dictsort(by='value', reverse=true)
obj | items | list
missing | items | list
'ab' | list
obj | list
'42' | int ~ ' 7 ' | int ~ 'x' | int ~ 'x' | int(5) ~ '3.9' | int ~ 3.9 | int ~ '0x1f' | int(0, 16)
none | int(1)
missing | int
'1_000' | int
'1.5' | float ~ 'x' | float ~ 'inf' | float
neg | abs
2.5 | round ~ 3.5 | round ~ 2.675 | round(2) ~ 42 | round ~ 1234.5 | round(-2)
2.1 | round(0, 'ceil') ~ 2.9 | round(method='floor') ~ 2.123 | round(2, 'ceil')
1 | string + '2'
missing | default('d') ~ empty | default('d') ~ empty | default('d', true) ~ nothing | d('x')
text | replace('l', 'L') ~ text | replace('l', 'L', 1)
lines | indent
lines | indent(2, true)
lines | indent('> ', blank=true)
'foo bar baz qux' | truncate(9) ~ '|' ~ 'foo bar baz qux' | truncate(9, true) ~ '|' ~ 'foo' | truncate(5)
'foo bar baz qux' | truncate(9, leeway=0, end='~')
'foo' | center(9) ~ '|'
'one two,three' | wordcount
html | escape
html | e | e
html | forceescape
(html | safe) + '<'
(html | safe) ~ '<'
[html | safe]
html | safe | upper
('a b&c/d' | urlencode) ~ ({'q': 'a b', 'r': 1} | urlencode)
'%s-%s' | format('a', 1)
'%(x)s' | format(x=1)
1000000 | filesizeformat ~ 1000000 | filesizeformat(true) ~ 1 | filesizeformat
{'class': 'a b', 'id': none, 'x': '<'} | xmlattr
text | attr('upper') is callable
obj | attr('a') is defined
obj | tojson
obj | tojson(indent=2)
[] | tojson(indent=2) ~ {} | tojson(indent=2) ~ [[]] | tojson(indent=1)
obj | tojson(separators=(',', ':'))
{'b': 1, 'a': 2} | tojson(sort_keys=true)
unicode | tojson
unicode | tojson(ensure_ascii=true)
['\\u0000\\u001f\\u007f"\\\\/', '😀'] | tojson
'😀' | tojson(true)
[1.0, 1e20, big, none, true] | tojson
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
{(1, 2): 3} | tojson
missing | tojson
nums | map('string') | tojson
html | tojson
n is odd ~ n is even ~ n is divisibleby 7 ~ n is divisibleby(2)
n is defined ~ missing is defined ~ missing is undefined ~ obj.x is defined
nothing is none ~ n is number ~ pi is float ~ n is integer ~ yes is integer ~ yes is boolean
text is string ~ obj is mapping ~ nums is sequence ~ obj is sequence ~ text is iterable
n is iterable
yes is true ~ no is false ~ n is true
n is eq 7 ~ n is gt 6 ~ n is lessthan 3 ~ n is ne 7
'a' is in 'abc' ~ 2 is in nums
text is lower ~ 'abc' is lower ~ 'ABC' is upper
range is callable ~ n is callable
'upper' is filter ~ 'nosuch' is filter ~ 'odd' is test
html | safe is escaped
n is not none and text is not mapping
nothing is sameas none
n is nosuch
n | nosuch
dict(a=1, **{'b': 2})
dict([('x', 1)])
dict(obj).a
namespace(a=1).a
namespace(a=1).b is defined
namespace({'z': 1}).z
cycler(1, 2).next()
joiner('-')() ~ 'x'
strftime_now('%Y-%m-%d %H:%M:%S %A %B %j %-d')
raise_exception('stop')
1 is 2
foo bar
(1
{'a' 1}
[1, 2
1 +
a.b.
'unclosed
x | 
@
""".strip().split("\n")

# Whole templates: statements, scopes and white space.
TEMPLATES = [
    "{% if n > 5 %}a{% elif n > 3 %}b{% else %}c{% endif %}",
    "{% if zero %}a{% elif n %}b{% else %}c{% endif %}",
    "{% for x in nums %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}",
    "{% for x in nums %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in nums %}{{ x }}{% if x == 1 %}{% break %}{% endif %}{% endfor %}",
    "{% for x in nums if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}",
    "{% for x in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
    "{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}|{% endfor %}",
    "{% for x in nums %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in nums %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}",
    "{% for x in nums|map('string') %}{{ x }}{{ loop.length }}{{ loop.last }}{% endfor %}",
    "{% for k, v in obj.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in obj|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in nums %}{% endfor %}",
    "{% for c in 'añb' %}[{{ c }}]{% endfor %}",
    "{% for x in n %}{% endfor %}",
    "{% for x in missing %}{% else %}empty{% endfor %}",
    "{% for x in tree recursive %}{{ x.v }}({{ loop(x.kids) }}){{ loop.depth }}{% endfor %}",
    "{% for x in nums %}{{ loop(x) }}{% endfor %}",
    "{% for x in nums %}{% for y in nums %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}",
    "{% set x = 1 %}{% for i in nums %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(x=1) %}{% for i in nums %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}{{ ns }}",
    "{% set obj.a = 2 %}",
    "{% set a, b = (1, 2) %}{{ a }}{{ b }}",
    "{% set a, b = 1 %}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set x %}a{{ n }}{% endset %}[{{ x }}]",
    "{% set x | upper | replace('A', 'B') %}a{% endset %}{{ x }}",
    "{% if yes %}{% set x = 5 %}{% endif %}{{ x }}",
    "{% if no %}{% set n = 5 %}{% endif %}{{ n }}",
    "{% for i in [1] %}{% if yes %}{% set n = 5 %}{% endif %}{{ n }}{% endfor %}{{ n }}",
    # A name that a scope assigns first is undefined there until then, whatever the context has.
    "{% for i in [1] %}{{ n }}{% endfor %}|{% set n = 1 %}{{ n }}",
    "{% set y %}{{ n }}{% endset %}{% set n = 1 %}[{{ y }}]",
    "{{ n }}{% for i in [1] %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}",
    "{% for i in [1, 2] %}{% for j in [1] %}{{ n }}{% endfor %}{% set n = i %}{% endfor %}",
    "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 1 %}{{ m() }}",
    "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(a=5) }}",
    "{% macro m(a) %}[{{ a }}{{ a is defined }}]{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m() %}{% set x = 1 %}{{ x }}{% endmacro %}{{ m() }}{{ x is defined }}",
    "{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m }}",
    "{% macro m() %}x{% endmacro %}{{ m() | upper ~ m()|length }}",
    "{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(1) %}[{{ y }}]{% endcall %}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}a{{ n }}{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}a{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro outer() %}{% macro inner(x) %}{{ x }}{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer() }}",
    "{% filter upper %}a{{ text }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}aXa{% endfilter %}",
    "{% filter length %}abc{% endfilter %}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% generation %}{{ text }}{% endgeneration %}",
    "{% print n, text %}",
    "{% block b %}{{ n }}{% endblock b %}",
    "{% for i in nums %}{% block c %}{{ i is defined }}{% endblock %}{% endfor %}",
    "{% for i in nums %}{% block d scoped %}{{ i }}{% endblock %}{% endfor %}",
    "{% autoescape false %}{{ html }}{% endautoescape %}",
    "a{# comment #}b{#- c -#} d",
    "{% raw %}{{ x }}{% if %}{% endraw %}",
    "{%- raw -%} {{ x }} {%- endraw -%} y",
    "a\n{% if yes %}\nb\n{% endif %}\nc\n",
    "a\n  {% if yes %}  \n  b\n  {% endif %}  \nc",
    "a\n  {%+ if yes %}\n  b\n  {%- endif +%}\nc",
    "a  {%- if yes -%}  b  {%- endif -%}  c",
    "  {{- n -}}  x {{ n }}  ",
    "a\n{{ n }}\nb\n",
    "{#- x -#}\n  a",
    "  {# lstrip #}\na",
    "x {% if yes %} y {% endif %} z",
    "\t{% if yes %}\n\tx\n\t{% endif %}\n",
    "a\r\n{% if yes %}\r\nb{% endif %}\rc\n\n",
    "{{ '%}' }}{{ '}}' }}{{ {'a': {'b': 1}} }}",
    "{{ 'a\nb' }}",
    "{%if yes%}x{%endif%}{{n}}",
    "{% set x = 'a' %}{% set y = x ~ 'b' %}{% set z = x ~ 'c' %}{{ x }}{{ y }}{{ z }}",
    "{% for m in users %}{% set c = m.name %}{{ c }}{% endfor %}{{ c is defined }}",
    "{% set messages = nums[1:] %}{% for m in messages %}{{ m }}{% endfor %}",
    "{% if messages is defined and messages[0]['role'] == 'system' %}x{% else %}y{% endif %}",
    "{{ users[0]['tags'][1] ~ users[-1].name }}",
    "{% set f = range %}{{ f(2)|list }}",
    "{% set s = joiner(', ') %}{% for x in nums %}{{ s() }}{{ x }}{% endfor %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}",
    "{% set g = nums|map('string') %}{{ g|list }}{{ g|list }}",
    "{{ nums.__class__ }}{{ ''.__class__ }}",
    "{% break %}",
    "{% macro m() %}{% break %}{% endmacro %}",
    "{% for x in nums %}{% set y %}{% break %}{% endset %}{% endfor %}ok",
    "{% endif %}",
    "{% if yes %}",
    "{% for x nums %}{% endfor %}",
    "{% set 1 = 2 %}",
    "{% set true = 2 %}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{{ n",
    "{{ n }",
    "{% if n %}{{ n|nosuch }}{% endif %}",
    "{% if zero %}{{ n|nosuch }}{% endif %}ok",
    "{{ f(*nums) }}",
    "{% macro f() %}{{ varargs|sum }}{{ kwargs }}{% endmacro %}{{ f(*nums, **{'k': 1}) }}",
    "{{ dict(a=1, a=2) }}",
    "{{ text.upper(1) }}{{ text.split(foo=1) }}",
]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_print")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _print(self, caller):
        return caller()


def make_environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def row(environment, source):
    try:
        output = environment.from_string(source).render(**copy.deepcopy(CONTEXT))
        return {"template": source, "output": output}
    except Exception as error:  # Any error is the reference's answer.
        return {"template": source, "error": f"{type(error).__name__}: {error}"}


def main():
    environment = make_environment()
    print(json.dumps({"context": CONTEXT}, ensure_ascii=False))
    for expression in EXPRESSIONS:
        print(json.dumps(row(environment, "{{ " + expression + " }}"), ensure_ascii=False))
    for template in TEMPLATES:
        print(json.dumps(row(environment, template), ensure_ascii=False))


main()
