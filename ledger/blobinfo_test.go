package ledger

import (
	"reflect"
	"testing"
)

func TestBlobInfo(t *testing.T) {
	deletable := []DeletableEnd{{3, 2, 1}, {5, 1, 1}, {9, 1, 0}}
	all := BlobInfo{InitialCertified: 1, PermanentEnd: 7, PermanentCertifiedEnd: 4, Deletable: deletable}
	for _, tt := range []struct {
		now                   uint32
		registered, certified uint32
		left                  BlobInfo
	}{
		{1, 9, 5, all},
		{3, 9, 5, BlobInfo{1, 7, 4, deletable[1:], false}},
		{4, 9, 5, BlobInfo{1, 7, 0, deletable[1:], false}},
		{5, 9, 0, BlobInfo{0, 7, 0, deletable[2:], false}},
		{8, 9, 0, BlobInfo{0, 0, 0, deletable[2:], false}},
		{9, 0, 0, BlobInfo{}},
	} {
		info := all
		if r, c := info.RegisteredUntil(tt.now), info.CertifiedUntil(tt.now); r != tt.registered || c != tt.certified {
			t.Errorf("epoch %d: registered until %d, certified until %d: want %d, %d", tt.now, r, c, tt.registered, tt.certified)
		}
		info.Trim(tt.now)
		if !reflect.DeepEqual(info, tt.left) {
			t.Errorf("epoch %d: %+v is left, want %+v", tt.now, info, tt.left)
		}
		if info.IsZero() != (tt.now >= 9) {
			t.Errorf("epoch %d: IsZero is %t", tt.now, info.IsZero())
		}
		if r, c := info.RegisteredUntil(tt.now), info.CertifiedUntil(tt.now); r != tt.registered || c != tt.certified {
			t.Errorf("epoch %d, trimmed: registered until %d, certified until %d", tt.now, r, c)
		}
	}
	if want := []DeletableEnd{{3, 2, 1}, {5, 1, 1}, {9, 1, 0}}; !reflect.DeepEqual(deletable, want) {
		t.Errorf("Trim changed what others hold: %+v", deletable)
	}
	invalid := all
	if invalid.Invalid = true; invalid.RegisteredUntil(1) != 0 || invalid.CertifiedUntil(1) != 0 {
		t.Error("an invalid blob is registered or certified")
	}
	if invalid.Trim(9); !reflect.DeepEqual(invalid, BlobInfo{Invalid: true}) || invalid.IsZero() {
		t.Errorf("of an invalid blob %+v is left: its mark must stay", invalid)
	}
	var none BlobInfo
	if none.RegisteredUntil(0) != 0 || none.CertifiedUntil(0) != 0 || !none.IsZero() {
		t.Error("the zero BlobInfo says something")
	}
}
