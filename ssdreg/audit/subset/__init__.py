"""The subset of Python that a stranger's configuration is read in, without executing it.

One call of one function is followed, statement by statement, with Python's meaning: lists and
dictionaries are shared by all names they were given to, ``or`` and ``and`` return one of their
operands, a slice is a copy.

- Statements: assignments to names, to subscripts and to several targets at once, augmented
  assignments, ``if``, ``for`` and ``while`` with ``break``, ``continue`` and ``else``, ``del`` of
  names and subscripts, ``assert``, ``raise``, ``return``, ``pass``, imports, expressions.
- Expressions: texts, numbers, ``True``, ``False``, ``None``, lists, tuples, dictionaries, ``+ - *
  / // % **``, comparisons and chains of them, ``and``, ``or``, ``not``, ``... if ... else ...``,
  subscripts and slices, comprehensions of lists and dictionaries.
- Functions: those in `calls.FUNCTIONS` and `calls.CONSUMERS`, methods in `calls.METHODS`, and
  ``enumerate``, ``zip``, ``reversed``, ``items``, ``keys`` and ``values`` where they are looped
  over.

Another call, an attribute, an operator that is not listed, a name of the module: their value is
`Computed`, and every list and dictionary that was handed to them is from then on, too. They are
taken to return. What is computed matters only when somebody asks for it: when it decides which
way the function goes, or is a field of the configuration.

Anything else is refused with its line (`NoConfigurationError`), and so is what would take more
than the limits in `ledger`.
"""
