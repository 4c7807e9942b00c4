package bitrix24test

import (
	"strconv"
	"strings"
)

// Writes to multifields are patches, never replacements (sheet 5.5, F37).

// patchClassic reads fields.PHONE and its like: elements with an ID change or delete, others add.
func (d *draft) patchClassic(typeID string, given *node) *restError {
	if !given.isArray() {
		return nil
	}
	for _, item := range given.items {
		if !item.isArray() {
			continue
		}
		id, value, valueType := item.get("ID").number(), item.get("VALUE"), item.get("VALUE_TYPE").string()
		at := d.pointAt(id, typeID)
		switch {
		case at >= 0 && (item.get("DELETE").string() == "Y" || value.string() == "" && (value != nil || valueType == "")):
			d.deletePoint(at)
		case at >= 0:
			if err := d.changePoint(at, valueType, value); err != nil {
				return err
			}
		case value.string() != "" && item.get("DELETE").string() != "Y":
			if err := d.addPoint(typeID, valueType, value.string()); err != nil {
				return err
			}
		}
	}
	return nil
}

// patchFM reads fields.fm: keys that are ids of the record change or delete, all others add, be
// they n0 or the places of a JSON array. What has no typeId is passed over without a word.
func (d *draft) patchFM(given *node) *restError {
	if !given.isArray() {
		return nil
	}
	for i, key := range given.keys {
		item := given.items[i]
		typeID, value, valueType := item.get("typeId").string(), item.get("value"), item.get("valueType").string()
		if typeID == "" {
			continue
		}
		id, _ := strconv.ParseInt(key, 10, 64)
		at := d.pointAt(id, typeID)
		var err *restError
		switch {
		case at >= 0 && value != nil && value.string() == "":
			d.deletePoint(at)
		case at >= 0:
			err = d.changePoint(at, valueType, value)
		case value.string() != "":
			err = d.addPoint(typeID, valueType, value.string())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pointAt finds a multifield of the record by its id and type, or returns -1.
func (d *draft) pointAt(id int64, typeID string) int {
	if d.points == nil {
		d.points = append([]Multifield{}, d.record.multifields()...)
	}
	for i, point := range d.points {
		if id > 0 && point.ID == id && point.TypeID == typeID {
			return i
		}
	}
	return -1
}

func (d *draft) deletePoint(at int) {
	d.points = append(d.points[:at:at], d.points[at+1:]...)
	d.touchedPoints = true
}

func (d *draft) changePoint(at int, valueType string, value *node) *restError {
	point := d.points[at]
	if valueType != "" {
		point.ValueType = valueType
	}
	if value.string() != "" {
		point.Value = value.string()
	}
	if err := d.checkPoint(point); err != nil {
		return err
	}
	d.points[at], d.touchedPoints = point, true
	return nil
}

func (d *draft) addPoint(typeID, valueType, value string) *restError {
	point := Multifield{TypeID: typeID, ValueType: orDefault(valueType, "WORK"), Value: value}
	if err := d.checkPoint(point); err != nil {
		return err
	}
	d.points, d.touchedPoints = append(d.points, point), true
	return nil
}

// checkPoint refuses e-mail addresses that are none (F38).
func (d *draft) checkPoint(point Multifield) *restError {
	if point.TypeID != "EMAIL" || isEmail(point.Value) {
		return nil
	}
	if d.naming != classicNames {
		return invalidValue("fm")
	}
	return &restError{400, "ERROR_CORE", "Field '" + humanTitle(orDefault(point.ValueType, "OTHER"), "") + " e-mail' holds an invalid address"}
}

func isEmail(text string) bool {
	local, domain, found := strings.Cut(text, "@")
	return found && local != "" && strings.Contains(strings.Trim(domain, "."), ".") && !strings.ContainsAny(text, " \t\r\n,;<>\"") && !strings.Contains(domain, "@")
}
