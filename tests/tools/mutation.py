"""Plant errors in the formulas, one at a time, and see which the unit tests catch: tests/reports/mutation.md.

mutmut plants them and runs the tests; this file says what counts as an error in a formula. mutmut's own list is meant
for programs: most of it (texts altered, arguments and results replaced by None) every test catches, and a transposition
or a sum in place of a mean is not in it.
"""

import libcst as cst
import libcst.matchers as m
from hypothesis import HealthCheck, Phase, settings
from mutmut.__main__ import cli
from mutmut.mutation import file_mutation, mutators

# The suite's own profile builds on this one: the same examples every time, and no search for the simplest failure.
settings.register_profile(
    "mutation",
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mutation")

EXCHANGED = {
    one: other
    for pair in ("sin cos", "min max", "minimum maximum", "argmin argmax", "mean sum", "any all", "zeros ones")
    for one, other in (pair.split(), pair.split()[::-1])
}
NO_GRAD = m.FunctionDef(
    decorators=[m.Decorator(m.Call(func=m.Attribute(value=m.Name("torch"), attr=m.Name("no_grad"))))]
)
REVERSED = {cst.LessThan: cst.GreaterThan, cst.GreaterThan: cst.LessThan}
REVERSED |= {cst.LessThanEqual: cst.GreaterThanEqual, cst.GreaterThanEqual: cst.LessThanEqual}


def transposition(node: cst.Attribute):
    """x.T -> x"""
    if node.attr.value == "T":
        yield node.value


def exchanged_function(node: cst.Attribute):
    """np.sin -> np.cos, x.mean -> x.sum, ..."""
    if node.attr.value in EXCHANGED:
        yield node.with_changes(attr=cst.Name(EXCHANGED[node.attr.value]))


def exchanged_operands(node: cst.BinaryOperation):
    """a - b -> b - a, a @ b -> b @ a"""
    if isinstance(node.operator, cst.Subtract | cst.MatrixMultiply):
        left, right = (
            side.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()]) for side in (node.left, node.right)
        )
        yield node.with_changes(left=right, right=left)


def exchanged_arguments(node: cst.Call):
    """f(a, b) -> f(b, a)"""
    first, second = (*node.args, None, None)[:2]
    if second and not any(each.keyword or each.star for each in (first, second)):
        swapped = first.with_changes(value=second.value), second.with_changes(value=first.value)
        yield node.with_changes(args=[*swapped, *node.args[2:]])


def reversed_comparison(node: cst.ComparisonTarget):
    """a < b -> a > b"""
    if type(node.operator) in REVERSED:
        yield node.with_changes(operator=REVERSED[type(node.operator)]())


def one_less(node: cst.Integer):
    """2 -> 1; mutmut itself makes it 3"""
    if node.evaluated_value > 1:
        yield node.with_changes(value=str(node.evaluated_value - 1))


def is_formula(node: cst.CSTNode) -> bool:
    """Error messages and checks of arguments are not; tests/test_bad_inputs.py and the like look after those."""
    return not m.matches(node, m.Raise() | m.Call(func=m.Attribute(value=m.Name("checks"))))


class FormulaVisitor(file_mutation.MutationVisitor):
    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if m.matches(node, NO_GRAD):
            return False  # mutmut leaves decorated functions alone, for fear of decorators that register something
        return not is_formula(node) or super()._skip_node_and_children(node)


file_mutation.MutationVisitor = FormulaVisitor
mutators.mutation_operators[:] = [
    (cst.BaseNumber, mutators.operator_number),
    (cst.Integer, one_less),
    (cst.Name, mutators.operator_name),
    (cst.AugAssign, mutators.operator_augmented_assignment),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.CSTNode, mutators.operator_swap_op),
    (cst.IfExp, mutators.operator_if_exp),
    (cst.Attribute, transposition),
    (cst.Attribute, exchanged_function),
    (cst.BinaryOperation, exchanged_operands),
    (cst.Call, exchanged_arguments),
    (cst.ComparisonTarget, reversed_comparison),
]

if __name__ == "__main__":
    cli()
