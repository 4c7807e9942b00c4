package bitrix24test

// Multifield is one phone number, e-mail address, web page or messenger of a record (sheet 5.5).
type Multifield struct {
	ID        int64  // 0 lets Put choose one
	TypeID    string // PHONE, EMAIL, WEB, IM or LINK
	ValueType string // WORK, MOBILE, HOME and so on
	Value     string
}

// record is one record while somebody looks at it.
type record struct {
	typ              *entityType
	id               int64
	created, updated int64 // Unix seconds
	seeded           bool
	mix              uint64         // what seeded values are drawn from
	values           map[*field]any // int64, string, []int64, []string, []Multifield, []binding, or nil for none

	points      []Multifield // see multifields
	flat        [len(flatFields)]string
	pointsKnown bool
}

// value returns a value of the kinds that are kept as numbers.
func (r *record) value(f *field) (int64, bool) {
	if r.values != nil {
		if v, own := r.values[f]; own {
			n, found := v.(int64)
			return n, found
		}
	}
	if f.number == nil {
		return 0, false
	}
	return f.number(r)
}

// appendText appends a text; nothing means that the record has none.
func (r *record) appendText(dst []byte, f *field) []byte {
	if r.values != nil {
		if v, own := r.values[f]; own {
			text, _ := v.(string)
			return append(dst, text...)
		}
	}
	if f.text == nil || !r.seeded && f.kind != kindFlat {
		return dst
	}
	return f.text(dst, r)
}

func (r *record) appendInts(dst []int64, f *field) []int64 {
	if v, own := r.values[f]; own {
		switch v := v.(type) {
		case []int64:
			dst = append(dst, v...)
		case []binding:
			for _, b := range v {
				dst = append(dst, b.id)
			}
		}
		return dst
	}
	if f.ints == nil {
		return dst
	}
	return f.ints(dst, r)
}

func (r *record) textList(f *field) []string {
	if v, own := r.values[f]; own {
		texts, _ := v.([]string)
		return texts
	}
	if f.texts == nil || !r.seeded {
		return nil
	}
	return f.texts(r)
}

// multifields returns the record's multifields; they stay valid until it is loaded anew.
func (r *record) multifields() []Multifield {
	if r.pointsKnown {
		return r.points
	}
	r.pointsKnown = true
	v, own := r.values[r.typ.fm]
	if !own {
		if r.seeded && r.typ.fm != nil {
			seededPoints(r)
		}
		return r.points
	}
	points, _ := v.([]Multifield)
	r.points = append(r.points, points...)
	for _, point := range r.points {
		for i, flat := range flatFields {
			if r.flat[i] == "" && flat.typeID == point.TypeID && (flat.valueType == "" || flat.valueType == point.ValueType) {
				r.flat[i] = point.Value
			}
		}
	}
	return r.points
}

// flatFields are the fields of crm.item.* that show one multifield: the first of its types.
var flatFields = [...]struct{ name, typeID, valueType string }{
	flatPhone: {"phone", "PHONE", ""}, flatPhoneWork: {"phoneWork", "PHONE", "WORK"},
	flatPhoneMobile: {"phoneMobile", "PHONE", "MOBILE"}, flatPhoneMailing: {"phoneMailing", "PHONE", "MAILING"},
	flatEmail: {"email", "EMAIL", ""}, flatEmailHome: {"emailHome", "EMAIL", "HOME"},
	flatEmailWork: {"emailWork", "EMAIL", "WORK"}, flatEmailMailing: {"emailMailing", "EMAIL", "MAILING"},
	flatImol: {"imol", "IM", "IMOL"},
}

const (
	flatPhone = iota
	flatPhoneWork
	flatPhoneMobile
	flatPhoneMailing
	flatEmail
	flatEmailHome
	flatEmailWork
	flatEmailMailing
	flatImol
)

// flatValue returns what the field at this place of flatFields shows, or "".
func (r *record) flatValue(place int) string {
	r.multifields()
	return r.flat[place]
}
