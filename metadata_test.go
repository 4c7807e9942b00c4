package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

// describing is a crm that tells what its accounts' records look like.
type describing struct{ crm }

func (describing) DescribeFields(ctx context.Context, c *enlace.Conn, entity string) ([]enlace.RecordField, error) {
	var answer struct {
		Items []struct{ ID int }
	}
	if err := c.Do(ctx, enlace.Call{Path: "list/fields", Op: "fields"}, &answer); err != nil {
		return nil, err
	}
	var fields []enlace.RecordField
	for _, item := range answer.Items {
		fields = append(fields, enlace.RecordField{Path: fmt.Sprintf("%s_%d", entity, item.ID), Type: "text"})
	}
	return fields, nil
}

func TestDescribeFields(t *testing.T) {
	h := newHost(t, wrapper{describing{}})
	h.provider.add("fields", 2)
	in := h.create(apiKey("k"))
	fields, err := h.DescribeFields(t.Context(), in.Ref, "custom_cars")
	if err != nil {
		t.Fatal(err)
	}
	want := []enlace.RecordField{{Path: "custom_cars_1", Type: "text"}, {Path: "custom_cars_2", Type: "text"}}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
	_, err = h.DescribeFields(t.Context(), in.Ref, "cars")
	if !errors.Is(err, enlace.ErrUnsupported) || !strings.Contains(err.Error(), "contacts") {
		t.Errorf("an unknown entity: %v", err)
	}
	if !enlace.CapabilitiesOf(wrapper{describing{}}).Has(enlace.CanDescribeFields) {
		t.Error("the capability is not seen")
	}
}

func TestDescribeFieldsNeedsTheCapability(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"))
	if _, err := h.DescribeFields(t.Context(), in.Ref, "contacts"); !errors.Is(err, enlace.ErrUnsupported) {
		t.Error(err)
	}
	if len(h.provider.seen("")) != 0 {
		t.Error("the provider was asked")
	}
	if _, err := h.DescribeFields(t.Context(), enlace.Ref{Tenant: in.Tenant, ID: "x"}, "contacts"); !errors.Is(err, enlace.ErrNotFound) {
		t.Error(err)
	}
}
