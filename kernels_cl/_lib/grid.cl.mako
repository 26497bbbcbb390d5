## A kernel's head, loops over independent items, splitting a flat number into axis indices, steps of several lanes.
<%def name="function(p, arguments)">\
% if stage:
__attribute__((noinline))
void ${p.stage_name}(${arguments}, const ${p.grid.index} work_group)
% else:
__kernel __attribute__((reqd_work_group_size(${p.grid.local}, 1, 1)))
void ${p.name}(${arguments})
% endif
</%def>
<%def name="loop(grid)">\
<%
    step = 1 if stage else grid.local
%>\
% if not stage:
    const ${grid.index} work_group = get_group_id(0);
% endif
    const ${grid.index} first = work_group * ${grid.chunk * grid.local}${"" if stage else " + get_local_id(0)"};
    const ${grid.index} last = min(${grid.end}, (work_group + 1) * ${grid.chunk * grid.local});
    for (${grid.index} item = first; item < last; item += ${step}) {
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
<%
    kind = index_type(extent)
    place = f"{'(long)' if kind == 'long' else ''}step * {width}"
%>\
% if width > 1 and extent % width:
        const ${kind} ${axis} = min(${place}, ${index_literal(extent - width, kind)});
% elif width > 1:
        const ${kind} ${axis} = ${place};
% endif
</%def>
