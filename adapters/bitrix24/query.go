package bitrix24

import (
	"context"
	"iter"
	"maps"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// List yields the items that pass a filter, in order of their ids, by crm.item.list, page
// by page as they are asked for (sheet 3.4, 5.4): List[Deal](ctx, c,
// map[string]any{"stageId": "NEW", ">=opportunity": 1000}). A nil filter is all. Names are
// those of [DescribeFields] with an operator before them: = ! > >= < <= @ (one of a list)
// !@ % (contains). Conditions on the id are List's own.
//
// To keep a copy of everything, let Service.Sync do it: it reads large lists by many
// batches at once, and goes on where it was cut off. Errors: ErrInvalid for a filter that
// names the id or a field that the portal does not know, ErrForbidden, ErrCursorStalled if
// the portal does not keep to the order, and those of any read; the last pair has it.
func List[T Object](ctx context.Context, c *enlace.Conn, filter map[string]any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		k, err := kindOf("list", EntityOf[T]())
		if err == nil {
			err = checkFilter(filter)
		}
		for r := (idRange{}); ; {
			var page listPage
			if err == nil {
				page, err = k.query(ctx, c, filter, r)
			}
			if err != nil {
				yield(none, err)
				return
			}
			for _, record := range page.records {
				object, err := enlace.DecodeRecord[T](record)
				if !yield(object, err) || err != nil {
					return
				}
			}
			if len(page.records) < pageSize {
				return
			}
			r.After = page.last
		}
	}
}

// query reads one page of the items behind an id.
func (k kind) query(ctx context.Context, c *enlace.Conn, filter map[string]any, r idRange) (listPage, error) {
	conditions := maps.Clone(filter)
	if conditions == nil {
		conditions = map[string]any{}
	}
	conditions[">id"] = r.After
	a := send(ctx, c, command{method: listMethod, repeatable: true, params: k.params(map[string]any{
		"filter": conditions, "order": map[string]string{"id": "ASC"}, "start": -1})})
	if a.err != nil {
		return listPage{}, a.err
	}
	var page listPage
	s := rawjson.NewScanner(a.result)
	if found := scanItems(s, k.entity, &page); s.End() != nil || !found {
		return listPage{}, protocolError(errNoItems)
	}
	return page, checkRange(page, r)
}

// checkFilter keeps the walk's own condition apart from the caller's.
func checkFilter(filter map[string]any) error {
	for name := range filter {
		if strings.EqualFold(strings.TrimLeft(name, "=!<>@%"), "id") {
			return invalid("list", "filter", "names the id", "conditions on other fields; for ids there is Fetch")
		}
	}
	return nil
}
