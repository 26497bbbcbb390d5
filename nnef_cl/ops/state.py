"""Operations that introduce tensors (section 4.1) and `update` (4.8); the importer gives them their meaning."""

from __future__ import annotations

from nnef_cl.ops.base import op

OPS = (
    op("fragment external<? = scalar>( shape: integer[] ) -> ( output: tensor<?> );"),
    op("fragment constant<? = scalar>( shape: integer[], value: ?[] ) -> ( output: tensor<?> );"),
    op("fragment variable<? = scalar>( shape: integer[], label: string ) -> ( output: tensor<?> );"),
    op("fragment update<?>( variable: tensor<?>, value: tensor<?> ) -> ( result: tensor<?> );"),
)
