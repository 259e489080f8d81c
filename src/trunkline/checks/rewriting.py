"""Texts in another form than a contract's own, rewritten to it, vectorised: on engines by Ibis, in blocks by Arrow.

Takes texts that are trimmed; gives the canonical texts that :meth:`trunkline.contracts.written.Written.canonical` gives
for one value, null where a text is null or outside the form's grammar.
"""

from typing import TYPE_CHECKING, cast

from trunkline.contracts.written import MONTHS, Part, Written, with_named_groups

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["rewritten", "rewritten_block"]


def rewritten(form: Written, matched: "ir.StringValue") -> "ir.StringValue":
    """Rewrite texts of an engine's table; those that do not match the form's grammar must be null already."""
    import ibis

    # \z and not $: in Java $ also matches before a line separator at the end
    pattern = form.grammar.removesuffix("$") + r"\z"
    text = matched
    if form.parts:
        parts = [part if isinstance(part, str) else _group(part, matched, pattern) for part in form.parts]
        text = ibis.literal("")
        for part in parts:
            text = cast("ir.StringValue", text + part)
        text = cast("ir.StringValue", ibis.ifelse(matched.isnull(), ibis.null("string"), text))
    for old, new in form.replaced:
        text = text.replace(old, new)
    return text


def _group(part: Part, matched: "ir.StringValue", pattern: str) -> "ir.StringValue":
    import ibis

    text = cast("ir.StringValue", matched.re_extract(pattern, part.group).fill_null(""))
    if part.how == "two_digits":
        return cast("ir.StringValue", ibis.ifelse(text.length() == 1, ibis.literal("0") + text, text))
    if part.how == "month":
        return cast("ir.StringValue", text.lower().cases(*MONTHS.items(), else_=text))
    if part.how == "or_zero":
        return cast("ir.StringValue", ibis.ifelse(text == "", "0", text))
    return text


def rewritten_block(form: Written, texts: "pa.Array") -> "pa.Array":
    """Rewrite a block of texts; null where a text is null or outside the grammar."""
    import pyarrow as pa
    import pyarrow.compute as pc

    grammar = form.grammar.removesuffix("$") + r"\z"
    if form.parts:
        groups = pc.extract_regex(texts, pattern=with_named_groups(grammar))
        parts = [part if isinstance(part, str) else _part(part, groups) for part in form.parts]
        texts = pc.binary_join_element_wise(*parts, "")
    else:
        matches = pc.match_substring_regex(texts, pattern=grammar)
        texts = pc.if_else(matches, texts, pa.scalar(None, texts.type))
    for old, new in form.replaced:
        texts = pc.replace_substring(texts, pattern=old, replacement=new)
    return texts


def _part(part: Part, groups: "pa.Array") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.struct_field(groups, f"g{part.group}")
    if part.how == "two_digits":
        return pc.ascii_lpad(text, width=2, padding="0")
    if part.how == "month":
        at = pc.index_in(pc.ascii_lower(text), value_set=pa.array(MONTHS.keys(), pa.string()))
        return pa.array(MONTHS.values(), pa.string()).take(at)
    return pc.if_else(pc.equal(text, ""), "0", text) if part.how == "or_zero" else text
