## Loops over independent items, splitting a flat number into axis indices, steps of several lanes.
<%def name="loop(grid)">\
    const ${grid.index} first = get_group_id(0) * ${grid.chunk * grid.local} + get_local_id(0);
    const ${grid.index} last = min(${grid.end}, ((${grid.index})get_group_id(0) + 1) * ${grid.chunk * grid.local});
    for (${grid.index} item = first; item < last; item += ${grid.local}) {
</%def>
<%def name="split(names, extents, flat='item', indent=8)">\
<%
    blank = " " * indent
%>\
% if len(names) > 1:
${blank}${index_type(math.prod(extents))} rest = ${flat};
% endif
% for name, extent in reversed(list(zip(names, extents))[1:]):
${blank}const ${index_type(extent)} ${name} = rest % ${extent}; rest /= ${extent};
% endfor
% if names:
${blank}const ${index_type(extents[0])} ${names[0]} = ${"rest" if len(names) > 1 else flat};
% endif
</%def>
<%def name="lanes(axis, extent, width)">\
% if width > 1:
        const ${index_type(extent)} ${axis} = ${"(long)" if index_type(extent) == "long" else ""}step * ${width};
% endif
</%def>
