"""Operations that introduce tensors (section 4.1) and `update` (4.8); the importer gives them their meaning."""

from __future__ import annotations

from nnef_cl.ops.base import op

OPS = (
    op("fragment external<? = scalar>( shape: integer[] ) -> ( output: tensor<?> );",
       about="An input of the graph: what the caller passes."),
    op("fragment constant<? = scalar>( shape: integer[], value: ?[] ) -> ( output: tensor<?> );",
       about="Values written in the text: one for every element, or one for all."),
    op("fragment variable<? = scalar>( shape: integer[], label: string ) -> ( output: tensor<?> );",
       about="Values from the file of that label; the graph may update them."),
    op("fragment update<?>( variable: tensor<?>, value: tensor<?> ) -> ( result: tensor<?> );",
       about="The variable gets the value after the run; the result is the value."),
)
