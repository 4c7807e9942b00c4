package bitrix24test

import (
	"fmt"
	"slices"
	"time"
)

// stages returns the dictionary of a type's stages in one of its funnels, or nil where the portal
// takes any text.
func stages(t *entityType, category int64) [][3]string {
	name := ""
	switch {
	case t.id == Lead:
		name = "STATUS"
	case t.id == Deal && category == 0:
		name = "DEAL_STAGE"
	case t.id == Deal:
		name = fmt.Sprintf("DEAL_STAGE_%d", category)
	}
	for _, dictionary := range statuses {
		if dictionary.entity == name {
			return dictionary.entries
		}
	}
	return nil
}

// moveStage checks funnel and stage, and sets what follows from them.
func (d *draft) moveStage() *restError {
	t := d.typ
	stage := t.byUniversal["stageId"]
	if stage == nil {
		return nil
	}
	category, refiled, err := d.category()
	if err != nil {
		return err
	}
	known := stages(t, category)
	if known == nil {
		if d.adding && d.values[stage] == nil {
			d.values[stage] = "NEW"
		}
		d.stampMove(stage)
		return nil
	}
	name, given := d.values[stage].(string)
	if !given && !refiled && !d.adding {
		delete(d.values, stage) // a stage cannot be emptied
		return nil
	}
	at := slices.IndexFunc(known, func(s [3]string) bool { return s[0] == name })
	switch {
	case at >= 0:
	case given && d.naming != classicNames:
		return invalidValue(stage.universal)
	case given && !d.adding && !refiled:
		delete(d.values, stage)
		return nil
	default:
		at = 0
	}
	d.values[stage] = known[at][0]
	d.enter(stage, known[at][2])
	return nil
}

// category returns the funnel that the record is in after the write, and whether that is new.
func (d *draft) category() (category int64, refiled bool, err *restError) {
	f := d.typ.byUniversal["categoryId"]
	if f == nil {
		return 0, false, nil
	}
	if !d.adding {
		category, _ = d.record.value(f)
	}
	value, given := d.values[f]
	if !given {
		return category, false, nil
	}
	wanted, _ := value.(int64)
	if wanted != 0 && stages(d.typ, wanted) == nil && d.typ.id == Deal {
		if d.naming != classicNames {
			return 0, false, invalidValue(f.universal)
		}
		delete(d.values, f)
		return category, false, nil
	}
	d.values[f] = wanted
	return wanted, wanted != category, nil
}

// enter sets what a stage brings with it.
func (d *draft) enter(stage *field, semantics string) {
	d.values[d.typ.byUniversal["stageSemanticId"]] = semantics
	if d.typ.id == Deal {
		d.values[d.typ.byUniversal["closed"]] = truth(semantics != "P")
	}
	if d.stampMove(stage) && d.typ.id == Lead {
		closed := any(time.Now().Unix())
		if semantics == "P" {
			closed = nil
		}
		d.values[d.typ.byUniversal["dateClosed"]] = closed
	}
}

// stampMove notes when and by whom an existing record came to another stage, if it does.
func (d *draft) stampMove(stage *field) bool {
	to, given := d.values[stage]
	if d.adding || !given || same(d.record.current(stage), to) {
		return false
	}
	d.values[d.typ.byUniversal["movedTime"]] = time.Now().Unix()
	d.values[d.typ.byUniversal["movedBy"]] = int64(d.by.userID)
	return true
}
