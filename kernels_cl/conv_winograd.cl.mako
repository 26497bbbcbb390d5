## Winograd convolution: input transform, one matrix product per point, output transform with the epilogue.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, T, B = p.width, p.tile, p.blocks
    D, H, W = p.x.spec.shape[2:]
    ROWS, COLUMNS, TAPS = p.rows, p.columns, p.geometry.size[0]
    HIGH, WIDE = p.apart
    DOWN, ACROSS = p.down.step, p.across.step
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
% if TAPS > 1:
        const int run = group / ${p.run_groups}, own_group = group % ${p.run_groups};
        const int depth = run % ${p.slices}, n = run / ${p.slices};
        const int start = min(own_group * ${T}, ${p.run_tiles - T});
% else:
        const int start = min(group * ${T}, ${p.run_tiles - T});
% endif
% if p.part == "input":
${place()}\
        __global float *to = tiles + group * ${p.group_size} + (block * ${T} + t) * ${V};
${transform_input("depth")}\
% elif p.part == "output":
% if TAPS > 1:
        __global const float *from = tiles + (n * ${D * p.run_groups} + own_group) * ${p.group_size};
% else:
        __global const float *from = tiles + group * ${p.group_size};
% endif
${multiply()}\
% else:
        __global float *own = tiles + work_group * ${TAPS * p.group_size};
% if TAPS > 1:
        for (int tap = 0; tap < ${TAPS}; ++tap) {
        const int slice = ${p.slice};
        if (slice < 0 || slice >= ${D})
            continue;
% endif
        for (int block = 0; block < ${p.in_blocks}; ++block)
        for (int t = 0; t < ${T}; ++t) {
${place()}\
            __global float *to = own + ${f"tap * {p.group_size} + " if TAPS > 1 else ""}(block * ${T} + t) * ${V};
${transform_input("slice" if TAPS > 1 else "depth")}\
        }
% if TAPS > 1:
        }
% endif
        __global const float *from = own;
        for (int ktile = 0; ktile < ${p.channel_tiles}; ++ktile) {
${multiply()}\
        }
% endif
    }
}
<%def name="place()">\
        int number = start + t;
        const int column = number % ${p.tiles_wide}; number /= ${p.tiles_wide};
% if TAPS > 1:
        const int row = number;
% else:
        const int row = number % ${p.tiles_high}; number /= ${p.tiles_high};
        const int depth = number % ${p.slices}, n = number / ${p.slices};
% endif
        const int first_row = ${p.first_row}, ow = ${p.first_column};
</%def>
<%def name="transform_input(depth)">\
        float turned[${p.points * V}];
% if p.parts > 1:
        const int part = block / ${p.part_blocks} % ${p.parts};
% endif
        const int source = ${p.source_block}, ih0 = ${p.first_read[0]}, iw0 = ${p.first_read[1]};
        for (int i = 0; i < ${ROWS.points}; ++i) {
            const int ih = ih0 + i${f" * {DOWN}" if DOWN > 1 else ""}, sh = ${p.source(1, "ih")};
% if p.tested:
            const int inside = ih >= 0 && ih < ${H};
% endif
            ${p.type} ${", ".join(f"d{k}" for k in range(COLUMNS.points))};
            if (iw0 >= 0 && iw0 + ${(COLUMNS.points - 1) * ACROSS} < ${W}) {
% for k in range(COLUMNS.points):
                d${k} = ${p.x.load_channels("n", "source", [depth, "sh", f"(iw0 + {k * ACROSS})"], V)};
% endfor
            } else {
% for k in range(COLUMNS.points):
                {
                    const int iw = iw0 + ${k * ACROSS}, sw = ${p.source(2, "iw")};
                    d${k} = ${p.x.load_channels("n", "source", [depth, "sh", "sw"], V)};
% if p.tested:
                    if (iw < 0 || iw >= ${W})
                        d${k} = (${p.type})(0.0f);
% endif
                }
% endfor
            }
% if p.tested:
            if (!inside)
                ${" = ".join(f"d{k}" for k in range(COLUMNS.points))} = (${p.type})(0.0f);
% endif
% for k, value in enumerate(p.transformed("data", COLUMNS, [f"d{k}" for k in range(COLUMNS.points)])):
            vstore${V}(${value}, i * ${COLUMNS.points} + ${k}, turned);
% endfor
        }
        for (int j = 0; j < ${COLUMNS.points}; ++j) {
% for i in range(ROWS.points):
            const ${p.type} c${i} = vload${V}(${i * COLUMNS.points} + j, turned);
% endfor
% for i, value in enumerate(p.transformed("data", ROWS, [f"c{i}" for i in range(ROWS.points)])):
            vstore${V}(${value}, 0, to + (${i * COLUMNS.points} + j) * ${p.point_size});
% endfor
        }
</%def>
<%def name="multiply()">\
        __global const float *w = filter + ktile * ${p.points * TAPS * p.steps * V * B * V};
% if p.groups > 1:
        const int before = ktile / ${p.channel_tiles // p.groups} * ${p.steps * T * V};
% endif
        float product[${p.points * T * B * V}];
        for (int point = 0; point < ${p.points}; ++point) {
% if TAPS == 1:
            __global const float *s = from + point * ${p.point_size}${" + before" if p.groups > 1 else ""};
% endif
% for b in range(B):
% for t in range(T):
            ${p.type} a${t}_${b} = (${p.type})(0.0f);
% endfor
% endfor
% if TAPS > 1:
            for (int tap = 0; tap < ${TAPS}; ++tap) {
            const int slice = ${p.slice};
            if (slice < 0 || slice >= ${D}) {
                w += ${p.steps * V * B * V};
                continue;
            }
            __global const float *s = from + ${f"slice * {p.run_groups * p.group_size}" if p.part == "output" else f"tap * {p.group_size}"} + point * ${p.point_size}${" + before" if p.groups > 1 else ""};
% endif
            for (int step = 0; step < ${p.steps}; ++step, s += ${T * V}) {
            for (int c = 0; c < ${p.count}; ++c) {
% for b in range(B):
                const ${p.type} w${b} = vload${V}(${b}, w);
% endfor
                w += ${B * V};
% for t in range(T):
                const float s${t} = s[${t * V} + c];
% for b in range(B):
                a${t}_${b} = fma((${p.type})(s${t}), w${b}, a${t}_${b});
% endfor
% endfor
            }
% if p.rest:
            w += (${V} - ${p.count}) * ${B * V};
% endif
            }
% if TAPS > 1:
            }
% endif
% for t in range(T):
% for b in range(B):
            vstore${V}(a${t}_${b}, point * ${T * B} + ${t * B + b}, product);
% endfor
% endfor
        }
        for (int t = 0; t < ${T}; ++t)
        for (int b = 0; b < ${B}; ++b) {
${place()}\
            const int block = ktile * ${B} + b;
${transform_output()}\
        }
</%def>
<%def name="transform_output()">\
            float turned[${ROWS.outputs * COLUMNS.points * V}];
            for (int j = 0; j < ${COLUMNS.points}; ++j) {
% for i in range(ROWS.points):
                const ${p.type} c${i} = vload${V}((${i * COLUMNS.points} + j) * ${T * B} + t * ${B} + b, product);
% endfor
% for i, value in enumerate(p.transformed("answer", ROWS, [f"c{i}" for i in range(ROWS.points)])):
                vstore${V}(${value}, ${i * COLUMNS.points} + j, turned);
% endfor
            }
            const ${p.type} term = vload${V}(block, bias);
            for (int i = 0; i < ${ROWS.outputs}; ++i) {
                const int oh = first_row + i${f" * {HIGH}" if HIGH > 1 else ""};
% if p.cut[0]:
                if (oh >= ${p.y.spec.shape[3]})
                    break;
% endif
% for k in range(COLUMNS.points):
                const ${p.type} d${k} = vload${V}(i * ${COLUMNS.points} + ${k}, turned);
% endfor
% for k, value in enumerate(p.transformed("answer", COLUMNS, [f"d{k}" for k in range(COLUMNS.points)])):
% if p.cut[1]:
                if (ow + ${k * WIDE} < ${p.y.spec.shape[4]}) {
% else:
                {
% endif
                    const ${p.type} sum = term + (${value});
% for line in p.finish(k, "sum"):
                    ${line}
% endfor
                }
% endfor
            }
</%def>
