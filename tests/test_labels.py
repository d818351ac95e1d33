"""Condition strings and label vectors: an exact round trip, control is the zero label, errors name what is wrong."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdae_sim import strategies
from pdae_sim._checks import near_misses
from pdae_sim.errors import LabelError
from pdae_sim.labels import LabelSpace, _write_dose, read_dose

SPACE = LabelSpace(("A", "B"))
GENES = LabelSpace(("TP53", "TP63", "MYC"))
floats = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def spaces_and(draw, strategy):
    space = draw(strategies.label_spaces())
    return space, draw(strategy(space))


class TestRoundTrip:
    @given(spaces_and(lambda space: st.lists(floats, min_size=len(space), max_size=len(space))))
    def test_every_float_survives(self, pair):
        space, label = pair
        assert space.vector(space.condition(label)).tolist() == label

    @given(spaces_and(lambda space: st.tuples(*[st.fractions()] * len(space))))
    def test_every_fraction_survives(self, pair):
        space, label = pair
        assert tuple(space.exact(space.condition(label))) == label

    @given(
        spaces_and(
            lambda space: st.tuples(*[st.decimals(allow_nan=False, allow_infinity=False, places=9)] * len(space))
        )
    )
    def test_every_decimal_survives(self, pair):
        space, label = pair
        assert tuple(space.exact(space.condition(label))) == label

    @pytest.mark.parametrize("kind", strategies.NUMBER_KINDS)
    @given(data=st.data())
    def test_every_kind_of_number_gives_the_same_vector(self, kind, data):
        label = data.draw(strategies.labels(2, kind=kind))
        assert SPACE.vector(SPACE.condition(label)).tolist() == SPACE.label(label).tolist() == [float(v) for v in label]

    @given(spaces_and(strategies.spellings))
    def test_every_spelling_reads_as_the_planted_label(self, pair):
        space, (text, label) = pair
        assert tuple(space.exact(text)) == label
        assert tuple(space.exact(space.condition(label))) == label

    @given(spaces_and(strategies.conditions))
    def test_the_canonical_string_is_a_fixed_point(self, pair):
        space, text = pair
        canonical = space.condition(space.exact(text))
        assert space.condition(space.exact(canonical)) == canonical

    @given(floats)
    def test_a_dose_is_written_so_that_it_reads_back(self, dose):
        assert float(read_dose(_write_dose(dose), where="here")) == dose

    @pytest.mark.parametrize(
        ("dose", "text"),
        [
            (Fraction(9967, 10000), "A:0.9967"),
            (Fraction(-3, 4), "A:-0.75"),
            (Fraction(1, 3), "A:1/3"),
            (Fraction(10**14 * 10**9 + 1, 10**9), "A:100000000000000.000000001"),
            (Fraction(1, 2**40), f"A:1/{2**40}"),
        ],
    )
    def test_a_ratio_is_written_as_a_decimal_where_that_is_short(self, dose, text):
        assert SPACE.condition([dose, 0]) == text
        assert SPACE.exact(text)[0] == dose

    @pytest.mark.parametrize("dose", [np.float32(0.1), np.float64(0.1), np.int64(3), True])
    def test_numpy_scalars_keep_their_value(self, dose):
        assert SPACE.vector(SPACE.condition([dose, 0]))[0] == float(dose)


class TestReading:
    @pytest.mark.parametrize(
        ("text", "label"),
        [
            ("ctrl", (0, 0)),
            ("A", (1, 0)),
            ("A+ctrl", (1, 0)),
            ("ctrl+A", (1, 0)),
            ("B+A", (1, 1)),
            ("A:0.5+B", (Fraction(1, 2), 1)),
            (" A : 0.1 + B:1e-3 ", (Fraction(1, 10), Fraction(1, 1000))),
            ("A:1/3", (Fraction(1, 3), 0)),
            ("A:-1+B", (-1, 1)),
            ("A:1e3", (1000, 0)),
            ("A:0", (0, 0)),
        ],
    )
    def test_doses_are_exact(self, text, label):
        assert tuple(SPACE.exact(text)) == label

    def test_one_tenth_is_not_the_float_nearest_to_it(self):
        assert SPACE.exact("A:0.1")[0] != Fraction(0.1)
        assert SPACE.vector("A:0.1")[0] == 0.1

    def test_any_number_of_parts(self):
        space = LabelSpace(tuple("ABCDEFG"))
        assert space.vector("G+F+E+D+C+B+A").tolist() == [1] * 7

    def test_names_come_from_the_conditions_in_alphabetical_order(self):
        assert LabelSpace.from_conditions(["ctrl", "B:2+A", "ctrl+C", "A"]).names == ("A", "B", "C")

    def test_the_grammar_is_the_users(self):
        space = LabelSpace.from_conditions(["DMSO", "A+1_B@2"], control="DMSO", separator="_", dose_separator="@")
        assert space.names == ("A+1", "B")
        assert space.vector("A+1_B@2").tolist() == [1, 2]
        assert space.condition([0, 0]) == "DMSO"

    @given(spaces_and(strategies.conditions))
    def test_a_label_and_its_condition_are_interchangeable(self, pair):
        space, text = pair
        assert space.label(text).tolist() == space.label(space.exact(text)).tolist()


class TestControl:
    """Defect 5 of the authors' code: control found by 'labels sum to zero'."""

    def test_doses_that_sum_to_zero_are_not_control(self):
        assert SPACE.condition([1, -1]) == "A+B:-1"

    @given(st.sampled_from(strategies.NUMBER_KINDS).flatmap(lambda kind: strategies.labels(2, kind=kind)))
    def test_control_is_the_zero_label_and_nothing_else(self, label):
        assert (SPACE.condition(label) == "ctrl") == (not any(label))

    def test_negative_zero_is_zero(self):
        assert SPACE.condition([-0.0, 0.0]) == "ctrl"


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("TP35", "unknown perturbation 'TP35' in condition 'TP35'; did you mean 'TP63' or 'TP53'?"),
            ("MYC+KRAS", "unknown perturbation 'KRAS' in condition 'MYC+KRAS'; known: TP53, TP63, MYC"),
            ("MYC+MYC:2", "perturbation 'MYC' appears twice in condition 'MYC+MYC:2'"),
            ("MYC:half", "malformed dose 'half' in 'MYC:half' of condition 'MYC:half'"),
            ("MYC:1/0", "malformed dose '1/0'"),
            ("MYC:nan", "malformed dose 'nan'"),
            ("MYC:inf", "malformed dose 'inf'"),
            ("MYC:", "malformed dose ''"),
            ("MYC:1:2", "malformed dose '1:2'"),
            ("MYC+", "condition 'MYC+' has an empty part"),
            ("  ", "a condition must be a non-empty string"),
            (":2", "part ':2' of condition ':2' has a dose but no perturbation"),
            ("ctrl:2", "part 'ctrl:2' of condition 'ctrl:2' has a dose but no perturbation"),
        ],
    )
    def test_a_bad_condition(self, text, said):
        assert one_line(lambda: GENES.vector(text)).startswith(said)

    @pytest.mark.parametrize(
        ("label", "said"),
        [
            ([1, float("nan"), 0], "the dose of 'TP63' must be a finite number; received nan"),
            ([1, 0, np.inf], "the dose of 'MYC' must be a finite number"),
            ([1, Decimal("NaN"), 0], "the dose of 'TP63' must be a finite number"),
            ([1, "2", 0], "the dose of 'TP63' must be a finite number; received '2'"),
            ([1, None, 0], "the dose of 'TP63' must be a finite number"),
            ([1, 1j, 0], "the dose of 'TP63' must be a finite number"),
            ([1, 0], "a label must have shape (3,) for TP53, TP63, MYC; received (2,)"),
            ([[1, 0, 0]], "a label must have shape (3,) for TP53, TP63, MYC; received (1, 3)"),
        ],
    )
    def test_a_bad_label(self, label, said):
        assert one_line(lambda: GENES.condition(label)).startswith(said)

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            (("A", "B", "A"), "perturbation names must differ; repeated: A"),
            (("A", ""), "a perturbation name must be printable"),
            (("A", " B"), "a perturbation name must be printable, unpadded"),
            (("ctrl",), "a perturbation name must be printable, unpadded, given and not 'ctrl'"),
        ],
    )
    def test_a_bad_name(self, names, said):
        assert one_line(lambda: LabelSpace(names)).startswith(said)

    @pytest.mark.parametrize("pair", [("", ":"), ("+", "+"), ("+", "++"), ('"', ":"), ("+", "")])
    def test_bad_separators(self, pair):
        assert one_line(lambda: LabelSpace(("A",), "ctrl", *pair)).startswith("separator=")

    @pytest.mark.parametrize("condition", [3, None, 1.5, b"A"])
    def test_a_condition_is_a_string(self, condition):
        assert "a condition must be a non-empty string" in one_line(lambda: SPACE.exact(condition))

    def test_a_dose_beyond_the_floats_is_refused(self):
        assert "1e400" in one_line(lambda: SPACE.vector("A:1e400"))

    @pytest.mark.parametrize("label", [[10**400, 0], [Fraction(10**400), 0], [Decimal("sNaN"), 0]])
    def test_a_number_beyond_the_floats_is_refused(self, label):
        assert "'A'" in one_line(lambda: SPACE.label(label))

    def test_a_dose_that_a_separator_would_cut_is_never_written_as_another(self):
        space = LabelSpace(("A",), separator="-")
        try:
            text = space.condition([1e-5])
        except LabelError:
            return
        assert space.vector(text).tolist() == [1e-5]


HARD = ("(+)-JQ1", "CD3+CD28", "MYC:2", "chr8:128746315", "5-FU", "HLA-DRB1*15", "HLA-A*02:01", '5"-end', '"x"', "CD4+")


class TestHardNames:
    """A name that the grammar cannot hold is quoted; it is never cut to pieces."""

    @pytest.mark.parametrize("separators", [("+", ":"), ("_", "@"), (" ", ":"), ("-", "*"), (" + ", ": ")])
    @pytest.mark.parametrize("name", HARD)
    def test_it_is_written_and_read_back(self, name, separators):
        space = LabelSpace((name, "B"), "ctrl", *separators)
        for label in ([1, 0], [1, 1], [Fraction(1, 3), 2]):
            assert tuple(space.exact(space.condition(label))) == tuple(label)

    @pytest.mark.parametrize("name", HARD)
    def test_a_known_name_needs_no_quotes_where_its_pieces_are_unknown(self, name):
        if name != '"x"':
            assert LabelSpace((name,)).vector(name).tolist() == [1]

    def test_pieces_that_are_known_are_pieces(self):
        space = LabelSpace(("A", "B", "A+B"))
        assert space.vector("A+B").tolist() == [1, 1, 0]
        assert space.vector('"A+B"').tolist() == [0, 0, 1]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("(+)-JQ1", "condition '(+)-JQ1' is cut inside brackets, into '(' and ')-JQ1'; if '+' belongs to the name"),
            ("f(1:2)", "condition 'f(1:2)' is cut inside brackets, into 'f(1'; if ':' belongs to the name"),
            ("CD4+", "condition 'CD4+' has an empty part around '+'; if '+' belongs to the name, give another"),
            ("A*02:01:01", "malformed dose '01:01' in 'A*02:01:01' of condition 'A*02:01:01'; write a finite"),
            ("MYC:late", "malformed dose 'late' in 'MYC:late' of condition 'MYC:late'; write a finite number"),
            ('"A', "condition '\"A' opens a double quote that nothing closes"),
            ('"A"B', "condition '\"A\"B' goes on with 'B' after a closing quote"),
        ],
    )
    def test_what_cannot_be_a_combination_is_refused(self, text, said):
        error = one_line(lambda: LabelSpace.from_conditions(["ctrl", text]))
        assert error.startswith(said)
        assert "separator= or write it as" in error or '"' in text

    def test_a_control_that_holds_the_separator_is_whole(self):
        space = LabelSpace.from_conditions(
            ["non_targeting", "A_B", "A_non_targeting", "non_targeting_B"], control="non_targeting", separator="_"
        )
        assert space.names == ("A", "B")
        assert space.vector("A_non_targeting").tolist() == [1, 0]
        assert space.condition([0, 0]) == "non_targeting"

    def test_a_name_that_begins_as_the_control_does_is_a_name(self):
        assert LabelSpace.from_conditions(["ctrl", "ctrl2+ctrlA"]).names == ("ctrl2", "ctrlA")


class TestNearMisses:
    def test_a_long_list_is_cut(self):
        assert near_misses("zzz", [f"gene{i}" for i in range(20)]).endswith("gene11, … (20 in all)")

    def test_nothing_is_known(self):
        assert near_misses("A", []) == "known: none"


def one_line(call):
    with pytest.raises(LabelError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_combination_joined_by_another_sign_is_told_how_it_is_written():
    space = LabelSpace(("A", "B"), separator="|")
    with pytest.raises(LabelError, match=r"parts are joined by '\|' here, 'A\|B'"):
        space.vector("A+B")


def test_an_exact_dose_is_written_as_a_fraction_where_its_decimals_hold_a_separator():
    space = LabelSpace(("A",), dose_separator=".", separator="+")
    assert "/" in space.condition([Fraction(1, 8)])
