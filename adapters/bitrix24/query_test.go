package bitrix24_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func TestList(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		for i := range 230 {
			h.portal.Put(bitrix24test.Deal, map[string]any{"title": fmt.Sprint("D", i), "opportunity": i, "stageId": "NEW"})
		}
		count := func(filter map[string]any) (n int) {
			h.t.Helper()
			last := bitrix24.ID(0)
			for d, err := range bitrix24.List[bitrix24.Deal](ctx, c, filter) {
				if err != nil || d.ID <= last {
					h.t.Fatalf("%d after %d: %v", d.ID, last, err)
				}
				last = d.ID
				n++
			}
			return n
		}
		filter := map[string]any{">=opportunity": 100, "stageId": "NEW"}
		for want, filter := range map[int]map[string]any{230: nil, 130: filter, 2: {"@title": []string{"D1", "D2", "none"}}, 0: {"stageId": "WON"}} {
			if got := count(filter); got != want {
				h.t.Errorf("%v: %d deals, want %d", filter, got, want)
			}
		}
		if len(filter) != 2 {
			h.t.Errorf("the caller's filter became %v", filter)
		}
		// What is not asked for is not read.
		h.portal.ResetStats()
		for range bitrix24.List[bitrix24.Deal](ctx, c, nil) {
			break
		}
		if n := h.portal.Stats().Requests; n != 1 {
			h.t.Errorf("%d requests", n)
		}
		failure := func(filter map[string]any) (last error) {
			pairs := 0
			for _, last = range bitrix24.List[bitrix24.Contact](ctx, h.conn(), filter) {
				pairs++
			}
			if pairs != 1 {
				h.t.Errorf("%d pairs", pairs)
			}
			return last
		}
		for _, filter := range []map[string]any{{">id": 7}, {"ID": 7}, {"noSuch": 1}} {
			if err := failure(filter); !errors.Is(err, enlace.ErrInvalid) {
				h.t.Errorf("%v: %v", filter, err)
			}
		}
		for body, kind := range map[string]error{`{"result":{"items":[{"id":2},{"id":1}]}}`: enlace.ErrCursorStalled, `{"result":7}`: enlace.ErrProtocol,
			`{"result":{"items":[{"id":1,"birthdate":7}]}}`: enlace.ErrProtocol} {
			h.answer(200, body)
			if err := failure(nil); !errors.Is(err, kind) {
				h.t.Errorf("%s: %v", body, err)
			}
		}
	})
}
