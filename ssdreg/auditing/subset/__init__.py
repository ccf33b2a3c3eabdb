"""The subset of Python that an untrusted configuration is read in, without executing it.

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

The value of any other call, of an attribute, of an operator that is not listed, and of a name of
the module is `Computed`, and so is from then on every list and dictionary that was passed to them.
They are assumed to return. A computed value matters only where it decides a branch of the function,
or is a field of the configuration.

Anything else is refused with its line (`NoConfigurationError`), and so is what exceeds the limits
in `ledger`.
"""
