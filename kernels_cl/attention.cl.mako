## Attention: per lane one query; a block of scores in private memory, their exponentials, their sums of values.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    h, W = p.heads, p.width
    several, places = p.blocks > 1, p.places
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
        const int m = min(tile * ${W}, ${p.last_tile});
        __global const float *queries = query + ${p.start(h.query)};
        __global const float *keys = key + ${p.start(h.key)};
        __global const float *values = value + ${p.start(h.value)};
        float q[${h.features * W}];
        float scores[${p.largest_block * W}];
        for (int lane = 0; lane < ${W}; ++lane) {
            for (int d = 0; d < ${h.features}; ++d) q[d * ${W} + lane] = queries[${p.query_at}];
        }
        ${p.type} largest = (${p.type})(-INFINITY), sum = (${p.type})(0.0f);
% if several:
        float mixed[${len(places) * p.lanes}];
        for (int k = 0; k < ${len(places) * p.lanes}; ++k) mixed[k] = 0.0f;
        for (int block = 0; block < ${p.blocks}; ++block) {
        const int first_key = ${p.block_start("block")};
        const int count = ${p.block_start("block + 1")} - first_key;
% else:
        const int count = ${h.keys};
% endif
        ${p.type} highest = largest;
        for (int start = 0; start < count; start += ${p.keys_tile}) {
            const int j = min(start, count - ${p.keys_tile});
            __global const float *near = keys + ${"(first_key + j)" if several else "j"} * ${h.key.strides[-2]};
% for t in range(p.keys_tile):
            ${p.type} dot${t} = (${p.type})(0.0f);
% endfor
            for (int d = 0; d < ${h.features}; ++d) {
                const ${p.type} feature = vload${W}(d, q);
% for t in range(p.keys_tile):
                dot${t} = fma((${p.type})(near[${t * h.key.strides[-2]} + d * ${h.key.strides[-1]}]), feature, dot${t});
% endfor
            }
% for t in range(p.keys_tile):
            vstore${W}(dot${t}, j + ${t}, scores);
% endfor
        }
        for (int j = 0; j < count; ++j) {
            ${p.type} score = vload${W}(j, scores);
% for line in p.score("score", "(first_key + j)" if several else "j"):
            ${line}
% endfor
            highest = select(highest, score, score > highest || score != score);
% if p.scores:
            vstore${W}(score, j, scores);
% endif
        }
        // Rows of -INFINITY alone become NaN by the division, whatever block they begin with.
        const ${p.type} shift = select(highest, (${p.type})(0.0f), highest == (${p.type})(-INFINITY));
% if several:
        float fade[${W}];
        vstore${W}(exp(largest - shift), 0, fade);
        sum *= vload${W}(0, fade);
        largest = highest;
% endif
        for (int j = 0; j < count; ++j) {
            const ${p.type} weight = exp(vload${W}(j, scores) - shift);
            sum += weight;
            vstore${W}(weight, j, scores);
        }
        float total[${W}];
        vstore${W}(sum, 0, total);
        __global const float *first_row = values${f" + first_key * {h.value.strides[-2]}" if several else ""};
% for lane in p.row_groups:
% for columns in p.column_groups:
        {
% for r in range(p.rows):
% for v, column in enumerate(columns):
            ${p.result_type} c${r}_${v} = ${p.kept(places[lane, r, column], lane + r)};
% endfor
% endfor
            __global const float *row = first_row;
            for (int j = 0; j < count; ++j) {
% for v, column in enumerate(columns):
                const ${p.result_type} w${v} = ${p.value_vector(column)};
% endfor
                row += ${h.value.strides[-2]};
% for r in range(p.rows):
                const float p${r} = scores[j * ${W} + ${lane + r}];
% for v in range(len(columns)):
                c${r}_${v} = fma((${p.result_type})(p${r}), w${v}, c${r}_${v});
% endfor
% endfor
            }
% for r in range(p.rows):
% for v, column in enumerate(columns):
            ${finish(f"c{r}_{v}", places[lane, r, column], lane + r, column)}\
% endfor
% endfor
        }
% endfor
% endfor
% if several:
        }
% endif
    }
}
<%def name="finish(value, place, lane, column)">\
% if several:
if (block + 1 < ${p.blocks}) {
                ${p.keep(value, place)}
            } else {
% else:
{
% endif
                ${value} /= (${p.result_type})(total[${lane}]);
% for line in p.finish(value, lane, column):
                ${line}
% endfor
            }
</%def>
