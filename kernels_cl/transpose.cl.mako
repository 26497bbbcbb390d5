## Copy that exchanges axes: a tile is read along one axis and written along the other.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    a, b, side, pitch = p.axis, len(p.extents) - 1, p.side, p.side + 1
%>\
__kernel __attribute__((reqd_work_group_size(${p.local_size[0]}, 1, 1)))
void ${p.name}(__global const ${p.type} *restrict x, __global ${p.type} *restrict y)
{
    __local ${p.type} tile[${side * pitch}];  // one column more than used: a column's elements lie in different banks
    const int column = get_local_id(0) % ${side}, row = get_local_id(0) / ${side};
    const ${p.group_type} group = get_group_id(0);
${grid.split(p.names, p.counts, "group", 4)}\
    for (int k = row; k < ${side}; k += ${p.rows}) {
        const ${p.index(a)} i${a} = tile${a} * ${index_literal(side, p.index(a))} + column;
        const ${p.index(b)} i${b} = tile${b} * ${index_literal(side, p.index(b))} + k;
        if (i${a} < ${p.extents[a]} && i${b} < ${p.extents[b]})
            tile[k * ${pitch} + column] = x[${p.at(p.x)}];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = row; k < ${side}; k += ${p.rows}) {
        const ${p.index(a)} i${a} = tile${a} * ${index_literal(side, p.index(a))} + k;
        const ${p.index(b)} i${b} = tile${b} * ${index_literal(side, p.index(b))} + column;
        if (i${a} < ${p.extents[a]} && i${b} < ${p.extents[b]})
            y[${p.at(p.y)}] = tile[column * ${pitch} + k];
    }
}
