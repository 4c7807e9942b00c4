package admin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace/admin/internal/paging"
)

// maxTotal bounds what is counted for the total of a list: a store's greatest page.
const maxTotal = 1000

// listBody is a page of a list.
type listBody[T any] struct {
	Items      []T        `json:"items"`
	NextCursor string     `json:"nextCursor,omitempty"`
	Total      *listTotal `json:"total,omitempty" doc:"Of a first page"`

	fields []string // all, if there are none
}

// listTotal is how many there are, as far as that was counted.
type listTotal struct {
	Value    int    `json:"value"`
	Relation string `json:"relation" enum:"eq,gte" doc:"eq: so many; gte: at least so many"`
}

// MarshalJSON leaves out the fields that were not asked for.
func (b listBody[T]) MarshalJSON() ([]byte, error) {
	type whole listBody[T]
	if len(b.fields) == 0 {
		return json.Marshal(whole(b))
	}
	data, err := json.Marshal(b.Items)
	if err != nil {
		return nil, err
	}
	sparse := listBody[map[string]json.RawMessage]{NextCursor: b.NextCursor, Total: b.Total}
	if err := json.Unmarshal(data, &sparse.Items); err != nil {
		return nil, err
	}
	for _, item := range sparse.Items {
		maps.DeleteFunc(item, func(name string, _ json.RawMessage) bool { return !slices.Contains(b.fields, name) })
	}
	return json.Marshal(sparse)
}

type listAnswer[T any] struct {
	Link string `header:"Link"`
	Body listBody[T]
}

// listOf is a list that is whole.
func listOf[T any](items []T) *listAnswer[T] {
	if items == nil {
		items = []T{}
	}
	return &listAnswer[T]{Body: listBody[T]{Items: items, Total: &listTotal{len(items), "eq"}}}
}

// each makes what is shown of every item.
func each[T, B any](list []T, of func(T) B) []B {
	bodies := make([]B, len(list))
	for i, item := range list {
		bodies[i] = of(item)
	}
	return bodies
}

// listOperation declares an operation that answers with a list. I embeds paging.Page, or
// paging.Selection for a list that always comes whole. read returns the items of a page and
// the store's cursor behind them.
func listOperation[I, T any](api *api, grant Grants, o huma.Operation, read func(ctx context.Context, c *call, in *I) ([]T, string, error)) {
	operation(api, grant, o, func(ctx context.Context, c *call, in *I) (*listAnswer[T], error) {
		var out *listAnswer[T]
		var err error
		if paged, ok := any(in).(interface{ Paged() *paging.Page }); ok {
			out, err = readPage(c, paged.Paged(), func() ([]T, string, error) { return read(ctx, c, in) })
		} else {
			var items []T
			items, _, err = read(ctx, c, in)
			out = listOf(items)
		}
		if err != nil {
			return nil, err
		}
		out.Body.fields = any(in).(interface{ Selected() *paging.Selection }).Selected().Fields
		return out, nil
	})
	describeFields[T](api, o)
}

// readPage reads what page asks for, with the way to the next one.
func readPage[T any](c *call, page *paging.Page, read func() ([]T, string, error)) (*listAnswer[T], error) {
	query := c.asked.URL.Query()
	for _, name := range []string{"cursor", "limit", "fields"} {
		query.Del(name)
	}
	scope := c.access.Tenant + "\x00" + c.mount.path + "\x00" + query.Encode()
	first, ok := page.Cursor == "", false
	if !first {
		if page.Cursor, ok = openCursor(scope, page.Cursor); !ok {
			return nil, newProblem(c, "invalid_cursor")
		}
	}
	items, next, err := read()
	if err != nil {
		return nil, cursorProblem(c, page.Cursor, err)
	}
	out := listOf(items)
	if !first {
		out.Body.Total = nil // nobody knows how many were on the pages before
	}
	if next == "" {
		return out, nil
	}
	if first {
		if out.Body.Total.Relation = "gte"; !page.Uncounted {
			page.Cursor, page.Limit = next, maxTotal-len(items)
			more, end, err := read()
			if err != nil {
				return nil, err
			}
			out.Body.Total.Value += len(more)
			if end == "" {
				out.Body.Total.Relation = "eq"
			}
		}
	}
	out.Body.NextCursor = closeCursor(scope, next)
	query = c.asked.URL.Query()
	query.Set("cursor", out.Body.NextCursor)
	out.Link = "<?" + query.Encode() + `>; rel="next"`
	return out, nil
}

// cursorSum is what tells a cursor that was altered, or taken to another list or to other
// filters. It is no signature: a position is no secret and gives no access, and processes
// share no key for it.
func cursorSum(scope, cursor string) string {
	sum := sha256.Sum256([]byte(scope + "\x00" + cursor))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func closeCursor(scope, cursor string) string { return cursorSum(scope, cursor) + cursor }

func openCursor(scope, closed string) (cursor string, ok bool) {
	length := len(cursorSum("", ""))
	if len(closed) < length {
		return "", false
	}
	cursor = closed[length:]
	return cursor, closed[:length] == cursorSum(scope, cursor)
}

// describeFields puts the names of T's fields into the document, by which unknown ones are
// refused.
func describeFields[T any](api *api, o huma.Operation) {
	schemas := api.huma.OpenAPI().Components.Schemas
	item := schemas.SchemaFromRef(schemas.Schema(typeOf[T](), true, "").Ref)
	for _, p := range api.huma.OpenAPI().Paths[o.Path].Get.Parameters {
		if p.Name != "fields" {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(item.Properties)) {
			p.Schema.Items.Enum = append(p.Schema.Items.Enum, name)
		}
		p.Schema.Items.PrecomputeMessages()
	}
}
