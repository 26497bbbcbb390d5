## Loops over independent items and splitting a flat number into axis indices.
<%def name="loop(grid)">\
    const int first = get_group_id(0) * ${grid.chunk * grid.local} + get_local_id(0);
    const int last = min(${grid.count}, ((int)get_group_id(0) + 1) * ${grid.chunk * grid.local});
    for (int item = first; item < last; item += ${grid.local}) {
</%def>
<%def name="split(names, extents)">\
        int rest = item;
% for name, extent in reversed(list(zip(names, extents))[1:]):
        const int ${name} = rest % ${extent}; rest /= ${extent};
% endfor
% if names:
        const int ${names[0]} = rest;
% endif
</%def>
